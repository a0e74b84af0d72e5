//! Budgets in fixed memory, the clock, and what does not fit into the configuration.

use crate::frame;
use crate::vectors::{cases, local_of, reason, total};
use engine::xdp::{Answer, Xdp, XdpError};
use std::net::SocketAddr;
use wire::siphash::SipKey;
use wire::{Reason, TransportAddress, tag};

/// Ten a second for a prefix; another prefix has its own ten.
pub(crate) fn probe() {
    let (mut config, cases) = cases();
    config.probe_budget_s = 10;
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let mut answered = |source: &str, boot_ns: u64| {
        xdp.fix_time(1_800_000_000, boot_ns);
        let source = source.parse().unwrap();
        let frame = frame::build(xdp.mac(), source, local_of(&config, source), &{
            let mut probe = vec![0; 32];
            probe[0] = 8;
            probe
        });
        (0..100).filter(|_| xdp.run(&frame, 1).unwrap().answer == Answer::Transmit).count()
    };
    let s = 1_000_000_000;
    assert_eq!(answered("8.8.8.8:5000", 10 * s), 10);
    assert_eq!(answered("8.8.8.200:5001", 10 * s), 0, "the same /24");
    assert_eq!(answered("8.8.9.1:5000", 10 * s), 10, "another /24");
    assert_eq!(answered("8.8.8.8:5000", 10 * s + s / 2), 5, "half a second later");
    assert_eq!(answered("[2a00:1:2:3::4]:5000", 10 * s), 10);
    assert_eq!(answered("[2a00:1:2:ffff::9]:5000", 10 * s), 0, "the same /48");
    assert_eq!(reason(&Default::default(), &Default::default()), None);
    assert_eq!(total(&xdp).dropped[Reason::Rate as usize].datagrams, 565);
    assert_eq!(cases.len(), 1032);
}

/// Neighbours that use up a prefix leave the endpoints alone that were there before.
pub(crate) fn last_ticket() {
    let (mut config, cases) = cases();
    config.probe_budget_s = 10;
    let probe = cases.iter().find(|case| case.verdict == "observe").unwrap();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let minting = config.keys[usize::from(config.minting)].unwrap();
    let s = 1_000_000_000;
    let mut answered = |source: &str, header: &[u8], now: u32, boot_ns: u64| {
        xdp.fix_time(now, boot_ns);
        let source: SocketAddr = source.parse().unwrap();
        let datagram = [&[8][..], &header[1..32], &[0; 8]].concat();
        let frame = frame::build(xdp.mac(), source, local_of(&config, source), &datagram);
        let runs: Vec<_> = (0..100).map(|_| xdp.run(&frame, 1).unwrap()).collect();
        let sent: Vec<_> = runs.into_iter().filter(|run| run.answer == Answer::Transmit).collect();
        let observed = sent.first().map(|run| run.frame[run.frame.len() - 40..].to_vec());
        (sent.len(), observed.unwrap_or_default())
    };
    for [known, neighbour] in
        [["8.8.8.8:5000", "8.8.8.200:5001"], ["[2a00:1:2:3::4]:5000", "[2a00:1:2:ffff::9]:5000"]]
    {
        let (now, zeros) = (probe.now, [0; 32]);
        let (_, ticket) = answered(known, &zeros, now, 10 * s);
        assert_eq!(answered(neighbour, &zeros, now, 20 * s).0, 10);
        assert_eq!(answered(known, &zeros, now, 20 * s).0, 0, "without a ticket it is one of the prefix");
        assert_eq!(answered(neighbour, &ticket, now, 20 * s).0, 0, "the ticket is another's");
        assert_eq!(answered(known, &ticket, now, 20 * s).0, 8);
        assert_eq!(answered(known, &ticket, now + 120, 20 * s + s / 2).0, 5 + 4, "half a second of both");
        assert_eq!(answered(neighbour, &zeros, now, 30 * s).0, 10);
        assert_eq!(answered(known, &ticket, now + 121, 30 * s).0, 0, "the ticket is over");
        let key = SipKey::new(minting);
        for class in 1..16 {
            let mut classed = ticket.clone();
            classed[1] |= class << 4;
            let expires = u32::from_be_bytes(*classed[4..].first_chunk().unwrap());
            let owner = TransportAddress::from_socket(known.parse().unwrap()).unwrap();
            let tag = tag::ticket(&key, classed[1], expires, owner);
            classed[24..32].copy_from_slice(&tag.to_le_bytes());
            assert_eq!(
                answered(known, &classed, now, 30 * s).0,
                0,
                "no ticket has a class, and none {class}"
            );
        }
    }
}

pub(crate) fn class() {
    let (mut config, cases) = cases();
    let case = cases.iter().find(|it| it.verdict == "relay" && it.source.is_ipv4()).unwrap();
    let class = usize::from(case.datagram[1] >> 4);
    let bytes = case.datagram.len() as u64;
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let frame = frame::build(xdp.mac(), case.source, local_of(&config, case.source), &case.datagram);
    let mut relayed = |rate, boot_ns| {
        config.class_rates_bytes_s[class] = rate;
        xdp.configure(&config).unwrap();
        xdp.fix_time(case.now, boot_ns);
        (0..100).filter(|_| xdp.run(&frame, 1).unwrap().answer == Answer::Transmit).count()
    };
    assert_eq!(relayed(None, 0), 100);
    assert_eq!(relayed(Some(20 * bytes), 50_000_000_000), 20);
    assert_eq!(relayed(Some(20 * bytes), 51_000_000_000), 20);
    assert_eq!(relayed(Some(1), 400_000_000_000), 1, "a full bucket lets one pass, however slow its rate");
    let counts = total(&xdp);
    assert_eq!(counts.dropped[Reason::Rate as usize].datagrams, 80 + 80 + 99);
    assert_eq!(counts.keys[usize::from(case.datagram[1] & 15)], 141);
}

pub(crate) fn too_many_blocks() {
    let (mut config, _) = cases();
    let blocks = |n: u8| (0..n).map(|n| ([10, n, 0, 0].into(), 16)).collect::<Vec<_>>();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    config.allow_destination = blocks(32);
    config.deny_destination = blocks(64);
    config.deny_source = blocks(64);
    xdp.configure(&config).unwrap();
    config.deny_source = blocks(65);
    assert!(matches!(xdp.configure(&config), Err(XdpError::TooMany { given: 65, most: 64, .. })));
    config.deny_source.clear();
    config.allow_destination = blocks(33);
    assert!(matches!(xdp.configure(&config), Err(XdpError::TooMany { given: 33, most: 32, .. })));
}

/// A second before its end a capability is good; the program's own clock then makes it expire.
pub(crate) fn clock_runs() {
    let (config, cases) = cases();
    let case = cases.iter().find(|it| it.verdict == "relay" && it.source.is_ipv4()).unwrap();
    let expires = i64::from(u32::from_be_bytes(case.datagram[4..8].try_into().unwrap()));
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let frame = frame::build(xdp.mac(), case.source, local_of(&config, case.source), &case.datagram);
    // If the machine is held up between both, the first look comes too late and says nothing.
    let (end_ns, answer) = std::iter::repeat_with(|| {
        let end_ns = engine::host::clock::boot_ns() + 500_000_000;
        xdp.tick((expires + 1) * 1_000_000_000 - end_ns).unwrap();
        (end_ns, xdp.run(&frame, 1).unwrap().answer)
    })
    .take(100)
    .find(|(end_ns, _)| engine::host::clock::boot_ns() < *end_ns)
    .unwrap_or_else(|| panic!("no look in time"));
    assert_eq!(answer, Answer::Transmit, "half a second is left");
    let left_ns = end_ns - engine::host::clock::boot_ns();
    std::thread::sleep(std::time::Duration::from_nanos(left_ns.max(0).cast_unsigned() + 100_000_000));
    let before = total(&xdp);
    assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Drop);
    assert_eq!(reason(&before, &total(&xdp)), Some(Reason::Expired));
}
