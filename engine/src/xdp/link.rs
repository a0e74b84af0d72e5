//! Where a program sits: its interface, the link that holds it there, and the pin that keeps the link.
//!
//! ```text
//! pin folder / INTERFACE.MODE -> link -> interface
//!                                  `--> program: replaced in place by whoever comes next
//! ```
//!
//! * Only the link is pinned. Who re-adopts it brings a program and maps of its own, so layouts never meet.
//! * A link is one of the kernel's or nothing: what netlink attaches could be neither pinned nor replaced safely.
//! * Without a pin a program goes when its process goes.

#![allow(unsafe_code)]

use crate::host::nic::Nic;
use crate::xdp::bpf_call;
use crate::xdp::error::XdpError;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where in the way of a frame the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In the driver, before the kernel has made anything of the frame.
    Native,
    /// Behind the driver, for every interface, and slower.
    Generic,
}

impl Mode {
    /// The word of flags, logs and pins.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn flags(self) -> u32 {
        match self {
            Self::Native => 1 << 2,
            Self::Generic => 1 << 1,
        }
    }
}

/// An attached program.
#[derive(Debug)]
pub(crate) struct Link {
    descriptor: OwnedFd,
    pin: Option<PathBuf>,
}

impl Link {
    /// Attaches `program`, or puts it in the place of one that is pinned.
    pub(crate) fn attach(
        program: BorrowedFd<'_>,
        place: &Place,
        mode: Mode,
        folder: Option<&Path>,
    ) -> Result<Self, XdpError> {
        if let Some(link) = Self::adopt(program, place, mode, folder)? {
            return Ok(link);
        }
        if Nic::read(&place.name)
            .is_ok_and(|nic| nic.strips_vlan == Some(true) && nic.driver.as_deref() != Some("veth"))
        {
            return Err(XdpError::StripsVlan(place.name.clone()));
        }
        let descriptor = bpf_call::create_xdp_link(program, place.index, mode.flags())
            .map_err(|error| refused(error, place, mode))?;
        let pin = folder.map(|folder| pin_path(folder, &place.name, mode));
        if let Some(path) = &pin {
            let folder = || XdpError::NotBpfFolder(path.parent().unwrap_or(path).to_owned());
            bpf_call::pin(descriptor.as_fd(), path).map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::EPERM) => folder(),
                _ => XdpError::kernel("pin the program", error),
            })?;
        }
        Ok(Self { descriptor, pin })
    }

    /// Puts `program` in the place of the one that is pinned for this interface; `None` if there is none.
    ///
    /// A pinned link of the other mode, or of an interface that is gone, is removed.
    pub(crate) fn adopt(
        program: BorrowedFd<'_>,
        place: &Place,
        mode: Mode,
        folder: Option<&Path>,
    ) -> Result<Option<Self>, XdpError> {
        let Some(folder) = folder else { return Ok(None) };
        let other = if mode == Mode::Native { Mode::Generic } else { Mode::Native };
        remove_pin(&pin_path(folder, &place.name, other))?;
        let path = pin_path(folder, &place.name, mode);
        let Some(descriptor) = open(&path)? else { return Ok(None) };
        let info = bpf_call::link_info(descriptor.as_fd())
            .map_err(|error| XdpError::kernel("ask about the pinned program", error))?;
        if info.interface != place.index {
            remove_pin(&path)?;
            return Ok(None);
        }
        bpf_call::update_link(descriptor.as_fd(), program)
            .map_err(|error| XdpError::kernel("replace the pinned program", error))?;
        Ok(Some(Self { descriptor, pin: Some(path) }))
    }

    /// Detaches, pinned or not.
    pub(crate) fn detach(self) -> Result<(), XdpError> {
        if let Some(path) = &self.pin {
            let _gone_already = std::fs::remove_file(path);
        }
        let detached = bpf_call::detach_link(self.descriptor.as_fd());
        detached.map_err(|error| XdpError::kernel("detach the program", error))
    }
}

/// An interface that a program can be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
}

impl Place {
    /// Looks an interface up in the calling thread's network namespace.
    pub(crate) fn find(name: &str) -> Result<Self, XdpError> {
        let missing = || XdpError::NoInterface(name.to_owned());
        let text = CString::new(name).map_err(|_| missing())?;
        // SAFETY: a NUL-terminated string that lives through the call.
        let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
        if index == 0 || name.len() >= libc::IFNAMSIZ {
            return Err(missing());
        }
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)
            .map_err(|error| XdpError::kernel("open a socket", error))?;
        let hardware = request(&socket, name, libc::SIOCGIFHWADDR).map_err(|_| missing())?;
        // SAFETY: the kernel filled this member: it is what SIOCGIFHWADDR answers.
        let hardware = unsafe { hardware.ifr_ifru.ifru_hwaddr };
        if ![libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK].contains(&hardware.sa_family) {
            return Err(XdpError::NotEthernet(name.to_owned()));
        }
        let [a, b, c, d, e, f, ..] = hardware.sa_data.map(i8::cast_unsigned);
        let mtu = request(&socket, name, libc::SIOCGIFMTU).map_err(|_| missing())?;
        // SAFETY: the kernel filled this member: it is what SIOCGIFMTU answers.
        let mtu = unsafe { mtu.ifr_ifru.ifru_mtu };
        let mtu = u32::try_from(mtu).map_err(|_| missing())?;
        Ok(Self { name: name.to_owned(), index, mac: [a, b, c, d, e, f], mtu })
    }
}

/// Detaches what is pinned for an interface in either mode, whoever put it there; whether there was any.
///
/// # Errors
/// A pin that cannot be opened or removed.
pub fn detach_pinned(interface: &str, folder: &Path) -> Result<bool, XdpError> {
    let mut found = false;
    for mode in [Mode::Native, Mode::Generic] {
        found |= remove_pin(&pin_path(folder, interface, mode))?;
    }
    Ok(found)
}

fn remove_pin(path: &Path) -> Result<bool, XdpError> {
    let Some(descriptor) = open(path)? else { return Ok(false) };
    std::fs::remove_file(path).map_err(|error| XdpError::kernel("remove a pin", error))?;
    // A link whose interface is gone is detached already.
    let _detached_already = bpf_call::detach_link(descriptor.as_fd());
    Ok(true)
}

fn open(path: &Path) -> Result<Option<OwnedFd>, XdpError> {
    match bpf_call::open_pinned(path) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(error) => Err(XdpError::kernel("open a pinned program", error)),
    }
}

fn pin_path(folder: &Path, interface: &str, mode: Mode) -> PathBuf {
    // A dot is not allowed in names of a BPF file system.
    folder.join(format!("{}-{}", interface.replace('.', "_"), mode.as_str()))
}

fn refused(error: io::Error, place: &Place, mode: Mode) -> XdpError {
    let name = place.name.clone();
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) if mode == Mode::Native => XdpError::NoNative(name),
        Some(libc::EBUSY | libc::EEXIST) => XdpError::Occupied(name),
        Some(libc::ERANGE | libc::EINVAL) => XdpError::Unfit { interface: name, mtu: place.mtu },
        Some(libc::ENODEV) => XdpError::NoInterface(name),
        _ => XdpError::kernel("attach the program", error),
    }
}

fn request(socket: &socket2::Socket, name: &str, command: libc::c_ulong) -> io::Result<libc::ifreq> {
    // SAFETY: all-zero bytes are a value of this struct of integers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let places = request.ifr_name.iter_mut().zip(name.bytes());
    places.for_each(|(place, byte)| *place = byte.cast_signed());
    // SAFETY: `request` is live for the call and the struct that this command fills.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), command, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(request) }
}
