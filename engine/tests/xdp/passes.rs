//! What goes up, unmodified; and next hops, reloads, listeners and the orphan's limit.

use crate::frame::{self, NEIGHBOUR};
use crate::vectors::{Case, cases, local_of, reason, total};
use engine::xdp::{Answer, Config, Hop, Route, Xdp};
use std::net::{IpAddr, SocketAddr};
use wire::Reason;

/// A SEND of each family that is relayed, and a PROBE.
fn good() -> (Config, Vec<Case>) {
    let (config, cases) = cases();
    let mut picked = Vec::new();
    for (v4, verdict) in [(true, "relay"), (false, "relay"), (true, "observe")] {
        let fits = |case: &&Case| {
            case.verdict == verdict
                && case.source.is_ipv4() == v4
                && case.to.is_some_and(|it| it.is_ipv4() == v4)
        };
        picked.push(cases.iter().position(|case| fits(&case)).unwrap());
    }
    let mut kept: Vec<Case> = Vec::new();
    for (place, case) in cases.into_iter().enumerate() {
        if picked.contains(&place) {
            kept.push(case);
        }
    }
    assert_eq!(kept.len(), 3);
    (config, kept)
}

fn frame_of(xdp: &Xdp, config: &Config, case: &Case) -> Vec<u8> {
    frame::build(xdp.mac(), case.source, local_of(config, case.source), &case.datagram)
}

pub(crate) fn unmodified() {
    type Change = (&'static str, fn(&mut Vec<u8>));
    let (config, cases) = good();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let v4: [Change; 15] = [
        ("VLAN", |f| drop(f.splice(12..12, [0x81, 0, 0, 5]))),
        ("another MAC", |f| f[5] ^= 1),
        ("options", |f| {
            f[14] = 0x46;
            f.splice(34..34, [1, 1, 1, 0]);
        }),
        ("more fragments", |f| f[20] = 0x20),
        ("a fragment offset", |f| f[21] = 1),
        ("header checksum", |f| f[24] ^= 1),
        ("TCP", |f| f[23] = 6),
        ("another port", |f| f[37] ^= 1),
        ("another address", |f| f[33] ^= 1),
        ("UDP length below", |f| f[39] -= 1),
        ("UDP length above", |f| f[39] += 1),
        ("UDP length 7", |f| f[38..40].copy_from_slice(&[0, 7])),
        ("cut", |f| f.truncate(f.len() - 1)),
        ("ARP", |f| f[12..14].copy_from_slice(&[8, 6])),
        ("tiny", |f| f.truncate(41)),
    ];
    let v6: [Change; 9] = [
        ("hop by hop", |f| f[20] = 0),
        ("fragment header", |f| f[20] = 44),
        ("no checksum", |f| f[60..62].fill(0)),
        ("payload length", |f| f[19] += 1),
        ("cut", |f| f.truncate(f.len() - 1)),
        ("multicast source", |f| f[22] = 0xff),
        ("link-local source", |f| f[22..24].copy_from_slice(&[0xfe, 0xbf])),
        ("mapped source", |f| f[22..34].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])),
        ("version", |f| f[14] = 0x45),
    ];
    for case in &cases {
        xdp.fix_time(case.now, 1 << 40);
        let changes: &[Change] = if case.source.is_ipv4() { &v4 } else { &v6 };
        for (what, change) in changes {
            let mut frame = frame_of(&xdp, &config, case);
            assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Transmit, "the control");
            change(&mut frame);
            let run = xdp.run(&frame, 1).unwrap();
            assert_eq!((run.answer, run.frame == frame), (Answer::Pass, true), "{what}");
        }
        assert_eq!(reason(&Default::default(), &total(&xdp)), None);
    }
}

pub(crate) fn next_hops() {
    let (mut config, cases) = good();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let route = |network: &str, prefix, hop| Route { network: network.parse().unwrap(), prefix, hop };
    for case in &cases {
        let to = case.to.unwrap().ip();
        let whole = if to.is_ipv4() { 32 } else { 128 };
        let all = if to.is_ipv4() { "0.0.0.0" } else { "::" };
        let gateway = Hop::Gateway(NEIGHBOUR);
        let host = |hop| Route { network: to, prefix: whole, hop };
        let other = Hop::Gateway([2, 0, 0, 0, 0, 8]);
        let scenes = [
            (vec![], false),
            (vec![route(all, 0, gateway)], true),
            (vec![route(all, 0, other)], false),
            (vec![route(all, 0, Hop::Pass)], false),
            (vec![host(other), route(all, 0, gateway)], false),
            (vec![host(gateway), route(all, 0, other)], true),
            (vec![host(Hop::OnLink)], true),
            (vec![route(all, 0, Hop::OnLink)], true),
        ];
        for (routes, back) in scenes {
            config.routes = routes;
            xdp.configure(&config).unwrap();
            xdp.set_neighbours(&[(to, NEIGHBOUR)]).unwrap();
            xdp.fix_time(case.now, 1 << 40);
            let frame = frame_of(&xdp, &config, case);
            let run = xdp.run(&frame, 1).unwrap();
            assert_eq!(run.answer == Answer::Transmit, back, "{:?}", config.routes);
            assert!(back || (run.answer == Answer::Pass && run.frame == frame));
        }
        xdp.set_neighbours(&[(to, [2, 0, 0, 0, 0, 7])]).unwrap();
        let frame = frame_of(&xdp, &config, case);
        assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Pass, "on the link, but another neighbour");
        xdp.set_neighbours(&[]).unwrap();
        assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Pass, "on the link, and unknown");
    }
}

/// Ten minutes after the last sign of life everything goes up, junk too.
pub(crate) fn orphan() {
    let (config, cases) = good();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let mut frame = frame_of(&xdp, &config, &cases[0]);
    frame[42] = 0x55;
    for (silence_s, answer) in [(0, Answer::Drop), (598, Answer::Drop), (602, Answer::Pass)] {
        xdp.age(silence_s).unwrap();
        assert_eq!(xdp.run(&frame, 1).unwrap().answer, answer, "{silence_s} s");
    }
    xdp.tick(0).unwrap();
    assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Drop, "a sign of life");
}

pub(crate) fn denied_source() {
    let (mut config, cases) = good();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    for case in &cases {
        config.deny_source = vec![(case.source.ip(), if case.source.is_ipv4() { 32 } else { 128 })];
        xdp.configure(&config).unwrap();
        xdp.fix_time(case.now, 1 << 40);
        let before = total(&xdp);
        assert_eq!(xdp.run(&frame_of(&xdp, &config, case), 1).unwrap().answer, Answer::Drop);
        assert_eq!(reason(&before, &total(&xdp)), Some(Reason::Denied));
    }
}

pub(crate) fn wildcard() {
    let (mut config, cases) = good();
    let locals: [SocketAddr; 2] = [config.listen_v4.unwrap().into(), config.listen_v6.unwrap().into()];
    config.listen_v4 = Some("0.0.0.0:3478".parse().unwrap());
    config.listen_v6 = Some("[::]:3478".parse().unwrap());
    let mut xdp = Xdp::load("lo", &config).unwrap();
    for (listed, answer) in [(false, Answer::Pass), (true, Answer::Transmit)] {
        let whole = |ip: IpAddr| (ip, if ip.is_ipv4() { 32 } else { 128 });
        config.host = locals.iter().filter(|_| listed).map(|it| whole(it.ip())).collect();
        config.host.push(("127.0.0.0".parse().unwrap(), 8));
        xdp.configure(&config).unwrap();
        for case in &cases {
            let local = if case.source.is_ipv4() {
                locals.iter().find(|it| it.is_ipv4())
            } else {
                locals.iter().find(|it| it.is_ipv6())
            };
            xdp.fix_time(case.now, 1 << 40);
            let frame = frame::build(xdp.mac(), case.source, *local.unwrap(), &case.datagram);
            assert_eq!(xdp.run(&frame, 1).unwrap().answer, answer);
        }
    }
    let looped =
        frame::build(xdp.mac(), cases[0].source, "127.0.0.1:3478".parse().unwrap(), &cases[0].datagram);
    assert_eq!(xdp.run(&looped, 1).unwrap().answer, Answer::Pass, "loopback does not come over a wire");
}

/// A key taken away holds from the next frame on.
pub(crate) fn reload() {
    let (mut config, cases) = good();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let frame = frame_of(&xdp, &config, &cases[0]);
    let keys = config.keys;
    for _ in 0..100 {
        for (present, answer) in [(true, Answer::Transmit), (false, Answer::Drop)] {
            config.keys = keys;
            if !present {
                let id = usize::from(cases[0].datagram[1] & 15);
                config.keys[id] = None;
                config.minting = (0..16).find(|id| config.keys[usize::from(*id)].is_some()).unwrap();
            }
            xdp.configure(&config).unwrap();
            xdp.fix_time(cases[0].now, 1 << 40);
            assert_eq!(xdp.run(&frame, 1).unwrap().answer, answer);
        }
    }
}
