//! What one device sees: its profile, and with it everything that is minted for it.
//!
//! * Pure; whatever is minted stands in the profile and in the list for the audit log, or in neither.
//! * A device that hides is a name, keys and whether it is there; whatever leads to or from it is sealed.
//! * Devices are shown of agreed buddies only, headers only between contacts that both hold at one reflector that is
//!   offered.

use crate::mint::pair::Pair;
use crate::now::Now;
use crate::presence::contact::Contact;
use crate::presence::directory::{Device, Directory};
use crate::presence::lease::Presence;
use crate::rules::Rules;
use wire::json::header::HeaderJson;
use wire::json::login::OfferedReflector;
use wire::json::name::{AccountName, DeviceId, ReflectorName};
use wire::json::nat::NatJson;
use wire::json::profile::{Buddy, BuddyContact, BuddyDevice, BuddyState, Profile, Status};
use wire::{Form, TransportAddress};

/// Who looks, when, and by which rules.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// What is looked at.
    pub directory: &'a Directory,
    /// Rings, policy, terms.
    pub rules: &'a Rules,
    /// Reflectors that are offered now.
    pub offered: &'a [OfferedReflector],
    /// Whose eyes.
    pub device: DeviceId,
    /// The moment.
    pub now: Now,
}

/// A capability that was minted, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Where both meet.
    pub reflector: ReflectorName,
    /// Whose it is to send.
    pub from: TransportAddress,
    /// Who is reached.
    pub to: TransportAddress,
    /// Whose device that is.
    pub account: AccountName,
    /// Which.
    pub device: DeviceId,
    /// Whether it hides the addresses from both.
    pub form: Form,
    /// When it ends, unix seconds.
    pub expires: u32,
}

impl Sight<'_> {
    /// The profile, and what was minted for it; `None` for a device that is not there.
    pub fn profile(&self) -> Option<(Profile, Vec<Minted>)> {
        let reader = self.directory.device(&self.device)?;
        let mut minted = Vec::new();
        let names = self.directory.acquaintances(&reader.account);
        let profile = Profile {
            account: reader.account.clone(),
            version: self.directory.version(&reader.account),
            buddies: names.iter().filter_map(|name| self.buddy(name, &mut minted)).collect(),
        };
        Some((profile, minted))
    }

    /// One buddy; `None` for an account with which there is nothing.
    pub fn buddy(&self, name: &AccountName, minted: &mut Vec<Minted>) -> Option<Buddy> {
        let reader = self.directory.device(&self.device)?;
        let state = self.directory.state(&reader.account, name)?;
        let mut devices = Vec::new();
        if state == BuddyState::Agreed {
            let ids = self.directory.account(name).map(|it| it.devices.as_slice()).unwrap_or_default();
            for id in ids.iter().filter(|id| **id != self.device) {
                devices.extend(self.directory.device(id).map(|it| self.shown(reader, *id, it, minted)));
            }
        }
        Some(Buddy { account: name.clone(), state, devices })
    }

    fn shown(&self, reader: &Device, id: DeviceId, device: &Device, minted: &mut Vec<Minted>) -> BuddyDevice {
        let mut shown = BuddyDevice {
            device: id,
            name: device.name.clone(),
            status: Status::Offline,
            noise_key: device.noise_key,
            sign_key: Some(device.shown_sign_key()),
            hidden: false,
            nat: None,
            incarnation: device.incarnation,
            contacts: Vec::new(),
            probe: None,
        };
        let Some(presence) = device.presence.as_ref().filter(|it| it.runs(self.now)) else {
            return shown;
        };
        let own = reader.presence.as_ref().map(|it| self.usable(it)).unwrap_or_default();
        let mut theirs = self.usable(presence);
        let hides = [self.directory.hides(reader), self.directory.hides(device)];
        let form = if hides.contains(&true) { Form::Sealed } else { Form::Plain };
        let [reader_hides, hidden] = hides;
        if hidden {
            // Only its own reflector: a buddy that could choose among several could measure where it is.
            theirs = theirs.into_iter().min_by_key(|it| (it.rtt_us, &it.reflector)).into_iter().collect();
        }
        let (mut common, others): (Vec<_>, Vec<_>) = theirs
            .iter()
            .map(|their| (own.iter().find(|mine| mine.reflector == their.reflector), *their))
            .partition(|(mine, _)| mine.is_some());
        common.sort_by_key(|(mine, their)| mine.map(|mine| Pair { mine, theirs: their }.rtt_us()));
        shown.status = Status::Online;
        shown.hidden = hidden;
        shown.nat = Some(NatJson(presence.nat)).filter(|_| !hidden);
        if common.is_empty() {
            shown.probe = match (hidden, reader_hides) {
                (true, _) => theirs.first().map(|it| it.reflector.clone()),
                // The other comes.
                (false, true) => None,
                (false, false) => meeting_place(&own, &theirs),
            };
        }
        for (mine, their) in common.into_iter().chain(others) {
            let header = mine.and_then(|mine| self.mint((mine, their), form, (&device.account, id), minted));
            shown.contacts.push(BuddyContact {
                reflector: their.reflector.clone(),
                address: Some(their.address.to_socket()).filter(|_| !hidden),
                header,
                expires: header.map(|it| it.header().expires),
            });
        }
        shown
    }

    fn mint(
        &self,
        (mine, theirs): (&Contact, &Contact),
        form: Form,
        (account, device): (&AccountName, DeviceId),
        minted: &mut Vec<Minted>,
    ) -> Option<HeaderJson> {
        let terms = &self.rules.terms;
        let ring = self.rules.ring(&mine.reflector)?;
        let pair = Pair { mine, theirs };
        let header =
            pair.header(ring, form, terms.class, terms.lifetime_s, terms.grace_s(), self.now.unix_s)?;
        minted.push(Minted {
            reflector: mine.reflector.clone(),
            from: mine.address,
            to: theirs.address,
            account: account.clone(),
            device,
            form,
            expires: header.expires,
        });
        Some(HeaderJson::from(header))
    }

    /// Contacts that are handed out: they hold, and their reflector is offered.
    fn usable<'b>(&self, presence: &'b Presence) -> Vec<&'b Contact> {
        let grace_s = self.rules.terms.grace_s();
        let offered = |name: &ReflectorName| self.offered.iter().any(|it| it.name == *name);
        let usable = |it: &&Contact| it.holds(self.now.unix_s, grace_s) && offered(&it.reflector);
        presence.contacts.iter().filter(usable).collect()
    }
}

/// The reflector at which two devices that share none should meet, as the reader has to know it: the nearest of all
/// that either uses, unless the reader uses it already and the other has to come.
fn meeting_place(own: &[&Contact], theirs: &[&Contact]) -> Option<ReflectorName> {
    let nearest = own.iter().chain(theirs).min_by_key(|it| (it.rtt_us, &it.reflector))?;
    let is_own = own.iter().any(|it| it.reflector == nearest.reflector);
    (!is_own).then(|| nearest.reflector.clone())
}
