//! The access server of a simulated world: devices that are all each other's buddies, tickets verified, headers minted.
//!
//! * Mints as the real one does: only between contacts proven at the same reflector, at most [`LIFETIME_S`] ahead.
//! * Knows nothing of endpoints but what they show it.

use nat::Behaviour;
use peer::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use wire::json::base64url::Bytes;
use wire::json::header::HeaderJson;
use wire::json::keys::NoiseKey;
use wire::json::login::{ContactProof, LoginAnswer, OfferedReflector, Session, Stun};
use wire::json::name::{AccountName, DeviceId, ReflectorName};
use wire::json::nat::NatJson;
use wire::json::profile::{Buddy, BuddyContact, BuddyDevice, BuddyState, Profile, Status};
use wire::{Form, KeyRing, TransportAddress, mint};

/// One reflector, as the server and the world know it.
pub(crate) struct Relay {
    pub(crate) name: ReflectorName,
    pub(crate) address: SocketAddr,
    pub(crate) ring: KeyRing,
    pub(crate) alive: bool,
}

/// What the server keeps.
pub(crate) struct Server {
    pub(crate) up: bool,
    pub(crate) lease_s: u32,
    pub(crate) keepalive_s: u32,
    /// Which of the reflectors it offers, in this order.
    pub(crate) offered: Vec<usize>,
    devices: BTreeMap<usize, Device>,
    /// Who are each other's buddies; empty: everybody.
    pub(crate) pairs: Vec<(usize, usize)>,
    incarnation: u64,
    pub(crate) requests: u64,
    /// Who hides its address.
    pub(crate) hidden: BTreeSet<usize>,
    /// Who knows all addresses and has plain headers all the same: hostile, from before, or by another server.
    pub(crate) knowing: BTreeSet<usize>,
}

struct Device {
    key: PublicKey,
    online: bool,
    session: bool,
    until_us: u64,
    incarnation: u64,
    behaviour: Behaviour,
    contacts: Vec<(usize, SocketAddr, u32)>,
}

impl Server {
    pub(crate) fn new(reflectors: usize) -> Self {
        Self {
            up: true,
            lease_s: 300,
            keepalive_s: 15,
            offered: (0..reflectors).collect(),
            devices: BTreeMap::new(),
            pairs: Vec::new(),
            incarnation: 1_000,
            requests: 0,
            hidden: BTreeSet::new(),
            knowing: BTreeSet::new(),
        }
    }

    /// Makes a device known.
    pub(crate) fn enrol(&mut self, host: usize, key: PublicKey) {
        let device = Device {
            key,
            online: false,
            session: false,
            until_us: 0,
            incarnation: 0,
            behaviour: Behaviour::Open,
            contacts: Vec::new(),
        };
        self.devices.insert(host, device);
    }

    /// The reflectors as they are offered.
    pub(crate) fn reflectors(&self, relays: &[Relay]) -> Vec<OfferedReflector> {
        let offer = |relay: &Relay| OfferedReflector {
            name: relay.name.clone(),
            addresses: vec![relay.address],
            stun: Stun::Off,
        };
        self.offered.iter().map(|place| offer(&relays[*place])).collect()
    }

    /// At how many reflectors a host can be reached, as far as the server was told.
    pub(crate) fn contacts_of(&self, host: usize) -> usize {
        self.devices[&host].contacts.len()
    }

    /// Forgets all sessions, as a restart does.
    pub(crate) fn restart(&mut self) {
        self.devices.values_mut().for_each(|device| (device.session, device.online) = (false, false));
    }

    /// A login (`nat` given) or a refresh; `None` for a session that is not known.
    pub(crate) fn answer(
        &mut self,
        relays: &[Relay],
        host: usize,
        login: Option<Behaviour>,
        contacts: &[ContactProof],
        now_us: u64,
    ) -> Option<LoginAnswer> {
        self.requests += 1;
        let now_s = u32::try_from(now_us / 1_000_000).unwrap();
        self.incarnation += 1;
        let (lease_s, incarnation) = (self.lease_s, self.incarnation);
        let device = self.devices.get_mut(&host).unwrap();
        match login {
            Some(behaviour) => {
                (device.session, device.behaviour, device.incarnation) = (true, behaviour, incarnation);
            }
            None if !device.session => return None,
            None => {}
        }
        (device.online, device.until_us) = (true, now_us + u64::from(lease_s) * 1_000_000);
        device.contacts = contacts
            .iter()
            .map(|contact| {
                let place = relays.iter().position(|relay| relay.name == contact.reflector).unwrap();
                let ticket = contact.ticket.header();
                let address =
                    mint::verify_ticket(&relays[place].ring, &ticket, now_s).expect("a good ticket");
                (place, address.to_socket(), contact.rtt_us)
            })
            .collect();
        let incarnation = device.incarnation;
        Some(LoginAnswer {
            session: Session(Bytes([0; 32])),
            incarnation,
            lease_s,
            keepalive_s: self.keepalive_s,
            profile: self.profile(relays, host, now_us),
            reflectors: self.reflectors(relays),
            hide_address: self.hidden.contains(&host),
        })
    }

    /// Who was last at this address.
    pub(crate) fn host_at(&self, address: SocketAddr) -> Option<usize> {
        let is_there = |it: &&Device| it.contacts.iter().any(|(_, contact, _)| *contact == address);
        self.devices.iter().find(|(_, device)| is_there(device)).map(|(host, _)| *host)
    }

    pub(crate) fn logout(&mut self, host: usize) {
        let device = self.devices.get_mut(&host).unwrap();
        (device.online, device.session) = (false, false);
    }

    fn profile(&self, relays: &[Relay], reader: usize, now_us: u64) -> Profile {
        let other = |(a, b): &(usize, usize)| match reader {
            it if it == *a => Some(*b),
            it if it == *b => Some(*a),
            _ => None,
        };
        let mut names: BTreeSet<usize> = self.pairs.iter().filter_map(other).collect();
        if self.pairs.is_empty() {
            names = self.devices.keys().copied().filter(|host| *host != reader).collect();
        }
        let others = names.iter().map(|host| (host, &self.devices[host]));
        let buddies = others
            .map(|(host, device)| Buddy {
                account: account(*host),
                state: BuddyState::Agreed,
                devices: vec![self.device(relays, reader, *host, device, now_us)],
            })
            .collect();
        Profile { account: account(reader), version: now_us, buddies }
    }

    fn device(&self, relays: &[Relay], reader: usize, host: usize, it: &Device, now_us: u64) -> BuddyDevice {
        let online = it.online && now_us < it.until_us;
        let own = &self.devices[&reader].contacts;
        let hidden = self.hidden.contains(&host) && !self.knowing.contains(&reader);
        let sealed = hidden || self.hidden.contains(&reader);
        let form = if sealed { Form::Sealed } else { Form::Plain };
        let mut contacts: Vec<(u32, BuddyContact)> = it
            .contacts
            .iter()
            .filter(|_| online)
            .map(|(place, address, rtt_us)| {
                let mine = own.iter().find(|(other, ..)| other == place);
                let header = mine.map(|(_, from, _)| header(&relays[*place], form, *from, *address, now_us));
                let contact = BuddyContact {
                    reflector: relays[*place].name.clone(),
                    address: Some(*address).filter(|_| !hidden),
                    header: header.map(HeaderJson::from),
                    expires: header.map(|header| header.expires),
                };
                (mine.map_or(u32::MAX, |mine| mine.2 + rtt_us), contact)
            })
            .collect();
        contacts.sort_by_key(|(rtt_us, _)| *rtt_us);
        let shared = contacts.iter().any(|(_, contact)| contact.header.is_some());
        let probe = contacts.first().filter(|_| !shared).map(|(_, contact)| contact.reflector.clone());
        BuddyDevice {
            device: DeviceId(Bytes([u8::try_from(host % 251).unwrap(); 16])),
            name: None,
            status: if online { Status::Online } else { Status::Offline },
            noise_key: NoiseKey(Bytes(it.key)),
            sign_key: None,
            hidden,
            nat: (online && !hidden).then_some(NatJson(it.behaviour)),
            incarnation: online.then_some(it.incarnation),
            contacts: contacts.into_iter().map(|(_, contact)| contact).collect(),
            probe,
        }
    }
}

/// A SEND header between two contacts.
pub(crate) fn header(
    relay: &Relay,
    form: Form,
    from: SocketAddr,
    to: SocketAddr,
    now_us: u64,
) -> wire::Header {
    let expires = u32::try_from(now_us / 1_000_000).unwrap() + LIFETIME_S;
    let address = |socket| TransportAddress::from_socket(socket).unwrap();
    mint::send_header(&relay.ring, form, 1, expires, address(from), address(to)).unwrap()
}

/// The account of a host.
pub(crate) fn account(host: usize) -> AccountName {
    format!("host{host}").parse().unwrap()
}

const LIFETIME_S: u32 = 300;
