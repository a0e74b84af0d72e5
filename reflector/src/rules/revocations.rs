//! What has been taken back, and until when.
//!
//! ```text
//! take: subjects, how long ago -> the table that workers read -> the file, whole -> acknowledged
//! ```
//!
//! * An entry stays for 720 s of boot time, and until this clock is 720 s past the latest time that it had reached when
//!   the entry was made: by then everything that was given before has expired, whichever clock was wrong.
//! * The file has every entry before it is acknowledged, and is read before the first datagram.
//! * What does not fit is refused; what is there stays.

use program::failure::Failure;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use wire::Revoked;
use wire::json::revocations::SubjectJson;
use wire::revoked::{Full, RevokedTable, Subject};

/// The entries of a reflector, and its table.
#[derive(Debug)]
pub struct Revocations {
    table: RevokedTable,
    ends: HashMap<Subject, End>,
    path: PathBuf,
    boot: String,
    /// The latest time that this clock has reached, unix seconds.
    latest_s: u32,
}

/// When an entry is over: once both clocks are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    boot_s: u64,
    unix_s: u32,
}

/// A moment by both clocks, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since boot, suspend included.
    pub boot_s: u64,
    /// Since 1970, by the reflector's clock.
    pub unix_s: u32,
}

/// What became of subjects.
#[derive(Debug)]
pub struct Taken {
    /// How many are new.
    pub added: usize,
    /// How many were there, of which some now end later.
    pub known: usize,
    /// How many did not fit, and why.
    pub refused: Option<(usize, Full)>,
    /// Whether the file has them.
    pub saved: io::Result<()>,
}

impl Revocations {
    /// The entries of the file, of which those are left out that are over; a file that is not there is an empty one.
    ///
    /// `boot` names this boot of the machine: boot times of another one mean nothing. `seed` is random.
    ///
    /// # Errors
    /// A file that cannot be read, or that is none of these.
    pub fn open(path: &Path, boot: String, seed: [u64; 4], now: Moment) -> Result<Self, Failure> {
        let table = RevokedTable::new(seed);
        let (ends, latest_s) = (HashMap::new(), now.unix_s);
        let mut revocations = Self { table, ends, path: path.to_owned(), boot, latest_s };
        let refuse = |why: &str| Failure::Config(format!("--revocations {}: {why}", path.display()));
        match std::fs::read_to_string(path) {
            Ok(text) => revocations.read(&text, now).map_err(|why| refuse(&why))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refuse(&error.to_string())),
        }
        Ok(revocations)
    }

    /// A reader of the table.
    pub fn reader(&self) -> Revoked {
        self.table.reader()
    }

    /// How many entries there are, and how many of them are pairs.
    pub fn counts(&self) -> (usize, usize) {
        (self.table.len(), self.table.pairs())
    }

    /// Takes back what these subjects were given; `age_s` ago somebody said so.
    pub fn take(&mut self, subjects: impl IntoIterator<Item = Subject>, age_s: u64, now: Moment) -> Taken {
        self.note(now);
        let left_s = STAY_S.saturating_sub(age_s);
        #[allow(clippy::cast_possible_truncation)] // At most STAY_S.
        let end = End { boot_s: now.boot_s + left_s, unix_s: self.latest_s.saturating_add(left_s as u32) };
        let (mut added, mut known, mut refused) = (0, 0, None);
        for subject in subjects {
            if let Some(there) = self.ends.get_mut(&subject) {
                there.boot_s = there.boot_s.max(end.boot_s);
                there.unix_s = there.unix_s.max(end.unix_s);
                known += 1;
                continue;
            }
            match self.table.insert(&subject) {
                Ok(()) => {
                    self.ends.insert(subject, end);
                    added += 1;
                }
                Err(full) => refused = Some((refused.map_or(1, |(count, _): (usize, Full)| count + 1), full)),
            }
        }
        Taken { added, known, refused, saved: self.save() }
    }

    /// Removes the entries that have ended, and returns how many there were.
    pub fn each_second(&mut self, now: Moment) -> usize {
        self.note(now);
        let is_over = |end: &End| now.boot_s >= end.boot_s && now.unix_s >= end.unix_s;
        let gone: Vec<Subject> =
            self.ends.iter().filter(|(_, end)| is_over(end)).map(|(subject, _)| *subject).collect();
        for subject in &gone {
            self.ends.remove(subject);
            self.table.remove(subject);
        }
        if !gone.is_empty() {
            self.table.renew_filter(self.ends.keys());
        }
        gone.len()
    }

    fn note(&mut self, now: Moment) {
        self.latest_s = self.latest_s.max(now.unix_s);
    }

    fn read(&mut self, text: &str, now: Moment) -> Result<(), String> {
        let wrong = |number: usize, why: &str| format!("line {}: {why}; {RIGHT}", number + 1);
        let mut lines = text.lines().enumerate();
        let mut head = |name: &str| -> Result<String, String> {
            let (number, line) = lines.next().ok_or_else(|| format!("it ends too soon; {RIGHT}"))?;
            let value = line.strip_prefix(name).map(str::trim);
            value.map(str::to_owned).ok_or_else(|| wrong(number, &format!("expected `{name}`")))
        };
        if head("revocations")? != VERSION {
            return Err(format!("another version wrote it; {RIGHT}"));
        }
        let same_boot = head("boot")? == self.boot;
        let latest = head("latest")?;
        self.latest_s = self.latest_s.max(latest.parse().map_err(|_| wrong(2, "expected a unix time"))?);
        for (number, line) in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let Some((subject, [boot_s, unix_s])) = words.split_last_chunk::<2>() else {
                return Err(wrong(number, "expected an entry"));
            };
            let subject = SubjectJson::parse(subject).map_err(|why| wrong(number, &why))?.0;
            let (boot_s, unix_s) = boot_s
                .parse::<u64>()
                .ok()
                .zip(unix_s.parse().ok())
                .ok_or_else(|| wrong(number, "expected the two times at which the entry is over"))?;
            // Of another boot nothing is known but that the entry began no later than now.
            let boot_s = if same_boot { boot_s } else { now.boot_s + STAY_S };
            if boot_s > now.boot_s || unix_s > now.unix_s {
                self.table.insert(&subject).map_err(|full| wrong(number, &full.to_string()))?;
                self.ends.insert(subject, End { boot_s, unix_s });
            }
        }
        Ok(())
    }

    /// Writes a new file beside the old one, and renames it into place once it is on the disk.
    fn save(&self) -> io::Result<()> {
        let mut text = format!("revocations {VERSION}\nboot {}\nlatest {}\n", self.boot, self.latest_s);
        for (subject, end) in &self.ends {
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "{} {} {}", SubjectJson(*subject).texts().join(" "), end.boot_s, end.unix_s);
        }
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// The name of this boot of the machine.
///
/// # Errors
/// The kernel does not say.
pub fn boot() -> Result<String, Failure> {
    let name = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(name.trim().to_owned())
}

/// Seconds that an entry stays: the longest capability, and a clock on each side that is a minute off.
pub const STAY_S: u64 = 600 + 2 * 60;
const VERSION: &str = "1";
const RIGHT: &str = "move it away and revoke again, or restore it";

#[cfg(test)]
mod tests {
    use super::*;
    use harness::Folder;
    use std::net::SocketAddr;
    use wire::TransportAddress;
    use wire::revoked::MOST_REVOKED_PAIRS;

    const START: Moment = Moment { boot_s: 1_000, unix_s: 1_800_000_000 };

    fn later(seconds: u32) -> Moment {
        Moment { boot_s: START.boot_s + u64::from(seconds), unix_s: START.unix_s + seconds }
    }

    fn address(number: usize) -> TransportAddress {
        let [_, _, _, _, a, b, c, d] = (number as u64).to_be_bytes();
        TransportAddress::from_socket(SocketAddr::from(([45, a ^ b, c, d], 4_000))).unwrap()
    }

    fn open(folder: &Folder, boot: &str, now: Moment) -> Revocations {
        Revocations::open(&folder.file("revocations"), String::from(boot), [1, 2, 3, 4], now).unwrap()
    }

    fn take(revocations: &mut Revocations, subject: Subject, age_s: u64, now: Moment) {
        let taken = revocations.take([subject], age_s, now);
        assert!(taken.refused.is_none() && taken.saved.is_ok(), "{taken:?}");
    }

    fn holds(revocations: &Revocations, a: usize, b: usize) -> bool {
        revocations.reader().holds_any(address(a), address(b))
    }

    #[test]
    fn t33_an_entry_lasts_720_s_by_both_clocks_and_what_is_sent_again_ends_no_later() {
        let folder = Folder::new("revocations");
        let mut revocations = open(&folder, "this", START);
        take(&mut revocations, Subject::Address(address(1)), 0, START);
        take(&mut revocations, Subject::pair(address(3), address(2)), 0, later(100));
        take(&mut revocations, Subject::Address(address(1)), 600, later(600));
        assert!(holds(&revocations, 1, 9) && holds(&revocations, 2, 3) && !holds(&revocations, 2, 9));
        // Time that the one clock has not seen, or the other.
        let boot_only = Moment { boot_s: later(900).boot_s, ..later(719) };
        let unix_only = Moment { boot_s: later(719).boot_s, ..later(900) };
        for now in [later(719), boot_only] {
            assert_eq!(revocations.each_second(now), 0, "{now:?}");
        }
        let folder = Folder::new("revocations");
        let mut other = open(&folder, "this", START);
        take(&mut other, Subject::Address(address(1)), 0, START);
        assert_eq!(other.each_second(unix_only), 0);
        assert_eq!(revocations.each_second(later(720)), 1);
        assert!(!holds(&revocations, 1, 9) && holds(&revocations, 2, 3));
        // Taken back again, it lasts its full time from now.
        take(&mut revocations, Subject::pair(address(2), address(3)), 0, later(800));
        assert_eq!((revocations.each_second(later(820)), revocations.each_second(later(1_519))), (0, 0));
        assert_eq!(revocations.each_second(later(1_520)), 1);
        assert_eq!(revocations.counts(), (0, 0));
    }

    #[test]
    fn t33_a_clock_that_was_ahead_when_an_entry_was_made_must_pass_that_time_again() {
        let folder = Folder::new("revocations");
        let mut revocations = open(&folder, "this", later(3_600));
        // Set right: an hour back.
        let back = Moment { boot_s: later(3_601).boot_s, unix_s: START.unix_s };
        assert_eq!(revocations.each_second(back), 0);
        take(&mut revocations, Subject::Address(address(1)), 0, back);
        let much_later = Moment { boot_s: back.boot_s + 4_319, unix_s: back.unix_s + 4_319 };
        assert_eq!(revocations.each_second(much_later), 0, "what was given in that hour may still be good");
        let over = Moment { boot_s: back.boot_s + 4_320, unix_s: back.unix_s + 4_320 };
        assert_eq!(revocations.each_second(over), 1);
    }

    #[test]
    fn t33_a_restart_forgets_nothing_and_another_boot_begins_the_time_anew() {
        let folder = Folder::new("revocations");
        let mut before = open(&folder, "this", START);
        take(&mut before, Subject::Address(address(1)), 0, START);
        take(&mut before, Subject::pair(address(2), address(3)), 0, later(700));
        let text = folder.read("revocations");
        assert!(text.starts_with("revocations 1\nboot this\nlatest 1800000700\n"), "{text}");
        let same = open(&folder, "this", later(719));
        assert!(holds(&same, 1, 9) && holds(&same, 3, 2));
        let same = open(&folder, "this", later(720));
        assert!(!holds(&same, 1, 9) && holds(&same, 3, 2));
        // The machine has been off for an hour, and its boot time is young.
        let booted = Moment { boot_s: 5, unix_s: START.unix_s + 4_300 };
        let mut other = open(&folder, "another", booted);
        assert_eq!(other.counts(), (2, 1));
        let at = |seconds: u32| Moment { boot_s: 5 + u64::from(seconds), unix_s: booted.unix_s + seconds };
        assert_eq!((other.each_second(at(719)), other.each_second(at(720))), (0, 2));
    }

    #[test]
    fn t33_what_does_not_fit_is_refused_and_what_is_there_stays() {
        let folder = Folder::new("revocations");
        let mut revocations = open(&folder, "this", START);
        let pairs = (0..=MOST_REVOKED_PAIRS).map(|at| Subject::pair(address(2 * at), address(2 * at + 1)));
        let taken = revocations.take(pairs, 0, START);
        assert_eq!((taken.added, taken.known), (MOST_REVOKED_PAIRS, 0));
        assert_eq!(taken.refused, Some((1, Full::Pairs)));
        assert!(holds(&revocations, 0, 1) && !holds(&revocations, 0, 2));
        take(&mut revocations, Subject::Address(address(2)), 0, START);
        let again = open(&folder, "this", later(1));
        assert_eq!(again.counts(), (MOST_REVOKED_PAIRS + 1, MOST_REVOKED_PAIRS));
    }

    #[test]
    fn what_cannot_be_saved_is_in_force_and_not_acknowledged() {
        let folder = Folder::new("revocations");
        let path = folder.file("gone/revocations");
        let mut revocations = Revocations::open(&path, String::from("this"), [1; 4], START).unwrap();
        let taken = revocations.take([Subject::Address(address(1))], 0, START);
        assert!(taken.saved.is_err() && holds(&revocations, 1, 9));
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_its_line() {
        let folder = Folder::new("revocations");
        let head = "revocations 1\nboot this\nlatest 1800000000\n";
        for (text, words) in [
            (String::new(), "it ends too soon"),
            (String::from("[[key]]\n"), "line 1: expected `revocations`"),
            (String::from("revocations 2\nboot x\nlatest 1\n"), "another version wrote it"),
            (String::from("revocations 1\nboot this\nlatest soon\n"), "line 3: expected a unix time"),
            (format!("{head}45.0.0.1:4000 1720 x\n"), "line 4: expected the two times"),
            (format!("{head}45.0.0.1:4000\n"), "line 4: expected an entry"),
            (format!("{head}45.0.0.1 1720 1800000720\n"), "line 4: \"45.0.0.1\" is no transport address"),
        ] {
            let path = folder.write("revocations", &text);
            let error =
                Revocations::open(&path, String::from("this"), [1; 4], START).unwrap_err().to_string();
            assert!(error.starts_with("--revocations ") && error.contains(words), "{error}");
            assert!(error.ends_with(RIGHT), "{error}");
        }
    }
}
