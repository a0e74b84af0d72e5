//! `enrol`: keys are made here and stay here; the access server gets the public ones, with the account's password.
//!
//! * The only call that takes a password; it comes from the environment, a pipe, or a terminal without echo.
//! * A device's file that exists is not written over: its keys would be lost.

use crate::args::Enrol;
use crate::failure::Failure;
use endpoint::{AccessClient, Device, random_secret};
use std::io::{IsTerminal as _, Write};
use std::path::Path;
use wire::json::base64url::Bytes;
use wire::json::device::{DeviceRequest, Password};
use wire::json::keys::{NoiseKey, SignKey};
use wire::json::name::DeviceId;

/// Enrols a device and writes its file.
///
/// # Errors
/// The file exists or cannot be written; the access server does not answer or refuses.
pub async fn run(enrol: Enrol, file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    if file.exists() {
        let line =
            format!("{} exists already; move it away first, or name another with --config", file.display());
        return Err(Failure::Config(line));
    }
    let client = AccessClient::new(&enrol.access, enrol.ca.as_deref())?;
    let mut device = Device {
        access: enrol.access,
        ca: enrol.ca.map(|ca| std::path::absolute(&ca).unwrap_or(ca)),
        account: enrol.account,
        device: DeviceId(Bytes([0; 16])),
        sign_secret: Bytes(random_secret()?),
        noise_secret: Bytes(random_secret()?),
        nat: enrol.nat.map(|nat| nat.to_string()),
        reflectors: Vec::new(),
    };
    let request = DeviceRequest {
        account: device.account.clone(),
        password: Password(password()?),
        name: enrol.name,
        sign_key: SignKey(Bytes(device.sign_key())),
        noise_key: NoiseKey(Bytes(device.noise_key())),
    };
    let answer = client.enrol(&request).await?;
    (device.device, device.reflectors) = (answer.device, answer.reflectors);
    device.save(file)?;
    writeln!(
        out,
        "{} is a device of {} now; its keys are in {}",
        device.device,
        device.account,
        file.display()
    )?;
    Ok(())
}

fn password() -> Result<String, Failure> {
    if let Ok(password) = std::env::var("REFLECTOR_ENDPOINT_PASSWORD") {
        return Ok(password);
    }
    if std::io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("password: ")?);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
