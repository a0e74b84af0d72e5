//! A host behind a NAT calls a public one, which sees the NAT's address. Needs root.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut lab = lab::Lab::new()?;
    let mut nat = lab.nat("nat", nat::Mapping::Eim, nat::Filtering::Apdf, 30)?;
    let (inside, server) = (lab.inside(&mut nat, "inside")?, lab.host("server")?);
    let (client, service) = (inside.udp(inside.ipv4(), 5000)?, server.udp(server.ipv4(), 6000)?);
    client.send_to(b"hello", service.local_addr()?)?;
    let (_, seen) = service.recv_from(&mut [0; 16])?;
    assert_eq!(seen.ip(), nat.external());
    Ok(())
}
