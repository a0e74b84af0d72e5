//! T1: a capability for one never reaches another, even where a NAT gives two hosts one address and port.
//!
//! * Two inside hosts behind one kernel NAT have the same external transport address towards two reflectors.
//! * What one reflector's ring minted reaches through that reflector whom it is for, and through the other nobody.
//! * Control: were the two rings one, it would reach the stranger; so this test would see it.

use crate::datagrams::daemon::{Daemon, Path};
use crate::datagrams::endpoint::{Endpoint, capability};
use crate::{Test, test};
use lab::Lab;
use nat::{Filtering, Mapping};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    vec![test(format!("{path}::strangers_behind_one_nat"), move || strangers_behind_one_nat(path))]
}

fn strangers_behind_one_nat(path: Path) {
    let mut lab = Lab::new().unwrap();
    let mut reflectors = ["reflector1", "reflector2"].map(|name| Daemon::start(&mut lab, name, path, &[]));
    let mut nat = lab.nat("nat", Mapping::Eim, Filtering::Apdf, 60).unwrap();
    let hosts = ["anna", "bert"].map(|name| lab.inside(&mut nat, name).unwrap());
    let inside = hosts.each_ref().map(|host| Endpoint::new(host, 5000));
    let host = lab.host("caller").unwrap();
    let caller = Endpoint::new(&host, 5000);
    let rings = reflectors.each_ref().map(Daemon::ring);
    let [anna, bert] = &inside;
    let (annas, berts) =
        (anna.contact(reflectors[0].ipv4, &rings[0]), bert.contact(reflectors[1].ipv4, &rings[1]));
    assert_eq!(annas, berts, "this NAT no longer gives two hosts one address and port: nothing is tested");
    let callers = [0, 1].map(|n| caller.contact(reflectors[n].ipv4, &rings[n]));
    let minted = [0, 1].map(|n| capability(&rings[n], callers[n], annas, 400));

    caller.send(reflectors[0].ipv4, &minted[0], b"for Anna");
    anna.expect(b"for Anna");
    caller.send(reflectors[1].ipv4, &minted[1], b"for Bert");
    bert.expect(b"for Bert");
    for _ in 0..50 {
        caller.send(reflectors[1].ipv4, &minted[0], b"for Anna, through the wrong reflector");
        caller.send(reflectors[0].ipv4, &minted[1], b"for Bert, through the wrong reflector");
    }
    anna.expect_nothing();
    bert.expect_nothing();
    for reflector in &reflectors {
        let counters = reflector.counters_when(|counters| counters.accounted() >= 53);
        assert_eq!((counters.relayed, counters.dropped.get("tag")), (1, Some(&50)), "{counters:?}");
    }

    let shared = reflectors[0].ring_text();
    reflectors[1].replace_ring(&shared);
    caller.send(reflectors[1].ipv4, &minted[0], b"for Anna, to a stranger");
    bert.expect(b"for Anna, to a stranger");
}
