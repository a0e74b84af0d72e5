//! A device: its keys, its account, its access server, as they lie in a file that only its owner can read.
//!
//! * Secrets never show in `Debug`; the file is written whole or not at all, with mode 0600 where modes exist.
//! * The reflectors that the access server named last are kept, so that the next start has whom to PROBE.

use crate::error::Error;
use ed25519_dalek::{Signer as _, SigningKey};
use peer::{PublicKey, Secret, public_key};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use wire::json::base64url::Bytes;
use wire::json::login::OfferedReflector;
use wire::json::name::{AccountName, DeviceId};

/// A device that is enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// `http://HOST:PORT` or `https://HOST`.
    pub access: String,
    /// Certificate authorities of the access server (PEM), besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Its account.
    pub account: AccountName,
    /// Its id at the access server.
    pub device: DeviceId,
    /// Ed25519, to log in.
    pub sign_secret: Bytes<32>,
    /// X25519, to be written to.
    pub noise_secret: Bytes<32>,
    /// The behaviour of the NAT, if it is known better than it can be found out, such as `eim/apdf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<String>,
    /// Where to PROBE.
    #[serde(default)]
    pub reflectors: Vec<OfferedReflector>,
}

impl Device {
    /// Reads a device's file.
    ///
    /// # Errors
    /// The file cannot be read, or is no device's; with file, line and reason.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::DeviceFile { path: path.to_owned(), reason };
        let text = fs::read_to_string(path)
            .map_err(|error| wrong(format!("{error}; `reflector-endpoint enrol` writes it")))?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Writes the file, readable by its owner only; a whole one takes the place of what was there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let wrong = |reason: String| Error::DeviceFile { path: path.to_owned(), reason };
        let text = toml::to_string(self).map_err(|error| wrong(error.to_string()))?;
        write_private(path, text.as_bytes()).map_err(|error| wrong(error.to_string()))
    }

    /// What others need to write to it.
    #[must_use]
    pub fn noise_key(&self) -> PublicKey {
        public_key(&self.noise_secret.0)
    }

    /// What the access server knows it by.
    #[must_use]
    pub fn sign_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.sign_secret.0).verifying_key().to_bytes()
    }

    /// Signs the bytes of a login.
    #[must_use]
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        SigningKey::from_bytes(&self.sign_secret.0).sign(bytes).to_bytes()
    }
}

/// Fresh random bytes of the system.
///
/// # Errors
/// The system has none.
pub fn random_secret() -> Result<Secret, Error> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(|error| Error::Random { reason: error.to_string() })?;
    Ok(secret)
}

/// Writes a file that only its owner can read, by way of a new one beside it.
///
/// # Errors
/// The file, or a folder on its way, cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device {
            access: String::from("https://access.example.org"),
            ca: None,
            account: "alice".parse().unwrap(),
            device: DeviceId(Bytes([7; 16])),
            sign_secret: Bytes([1; 32]),
            noise_secret: Bytes([2; 32]),
            nat: Some(String::from("eim/apdf")),
            reflectors: vec![OfferedReflector {
                name: "fra1".parse().unwrap(),
                addresses: vec!["192.0.2.1:3478".parse().unwrap()],
                stun: wire::json::login::Stun::Behaviour,
            }],
        }
    }

    #[test]
    fn a_device_is_read_back_and_only_its_owner_may_read_it() {
        let folder = harness::Folder::new("endpoint-device");
        let path = folder.file("deep").join("device.toml");
        device().save(&path).unwrap();
        assert_eq!(Device::load(&path).unwrap(), device());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "access = 5").unwrap();
        let message = Device::load(&path).unwrap_err().to_string();
        assert!(message.contains("device.toml") && message.contains("line 1"), "{message}");
        fs::remove_file(&path).unwrap();
        let message = Device::load(&path).unwrap_err().to_string();
        assert!(message.contains("enrol"), "{message}");
    }

    #[test]
    fn secrets_do_not_show() {
        let text = format!("{:?}", device());
        assert!(!text.contains("1, 1, 1") && text.contains("Bytes<32>(..)"), "{text}");
    }
}
