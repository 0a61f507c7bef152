//! Control messages (`cmsg(3)`): files and credentials that programs send, and what they are told.

use abi::capability::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN};
use std::rc::Rc;

use abi::socket::*;
use abi::{Errno, Layout, Reader};

use crate::files::OpenFile;
use crate::kernel::Kernel;
use crate::net::control::Control;
use crate::net::inbox::PeerCredentials;
use crate::stop::Outcome;
use crate::task::Task;

/// Files one message may carry (`SCM_MAX_FD`).
const FILES_MAX: usize = 253;
/// Bytes of control messages looked at (`net.core.optmem_max`).
pub(crate) const CONTROL_BYTES_MAX: usize = 20_480;
/// Bytes of a `struct ucred`.
const CREDENTIALS_BYTES: usize = 12;

/// Bytes of a `struct cmsghdr`: a length and two numbers.
fn control_header_bytes(layout: Layout) -> usize {
    layout.word_bytes as usize + 8
}

/// What a program sends besides bytes.
#[derive(Default)]
pub(super) struct Sent {
    /// Files (`SCM_RIGHTS`).
    pub files: Vec<Rc<OpenFile>>,
    /// Whom it says it is (`SCM_CREDENTIALS`).
    pub sender: Option<PeerCredentials>,
    /// What is the family's.
    pub others: Vec<Control>,
}

/// The control messages that a program sends on a socket of a family: `len` bytes of them.
pub(super) fn control_arg(k: &Kernel, t: &Rc<Task>, family: u32, addr: u64, len: usize) -> Outcome<Sent> {
    let (layout, mut sent) = (t.layout(), Sent::default());
    let header_bytes = control_header_bytes(layout);
    if len < header_bytes {
        return Ok(sent);
    }
    if len > CONTROL_BYTES_MAX {
        return Err(Errno::ENOBUFS.into());
    }
    if addr == 0 && layout.is_32() {
        return Err(Errno::EINVAL.into());
    }
    let bytes = t.struct_arg(addr, len as u64)?;
    let mut rest = &bytes[..];
    while rest.len() >= header_bytes {
        let mut reader = layout.reader(rest);
        let (whole, level, kind) = (reader.word() as usize, reader.u32(), reader.u32());
        let body = rest.get(header_bytes..whole).ok_or(Errno::EINVAL)?;
        match (level, kind) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                let mut fds = Reader::new(body);
                for _ in 0..body.len() / 4 {
                    sent.files.push(t.file(fds.i32())?);
                }
            }
            (SOL_SOCKET, SCM_CREDENTIALS) if family == AF_UNIX => sent.sender = Some(credentials_arg(k, t, body)?),
            (SOL_SOCKET, SCM_CREDENTIALS) => {}
            _ => sent.others.push((level, kind, body.to_vec())),
        }
        rest = rest.get(whole.next_multiple_of(layout.word_bytes as usize)..).unwrap_or_default();
    }
    if sent.files.len() > FILES_MAX { Err(Errno::EINVAL.into()) } else { Ok(sent) }
}

/// Credentials that a program sends: its own, or if it is privileged anybody's (`unix(7)`).
fn credentials_arg(k: &Kernel, t: &Rc<Task>, body: &[u8]) -> Outcome<PeerCredentials> {
    /// No user, no group.
    const NOBODY: u32 = u32::MAX;
    if body.len() != CREDENTIALS_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let (mut reader, who) = (Reader::new(body), t.credentials());
    let said = PeerCredentials { pid: reader.i32(), uid: reader.u32(), gid: reader.u32() };
    if said.uid == NOBODY || said.gid == NOBODY {
        return Err(Errno::EINVAL.into());
    }
    let may_be = (said.pid == t.process.pid || who.has(CAP_SYS_ADMIN))
        && ([who.uid, who.euid, who.suid].contains(&said.uid) || who.has(CAP_SETUID))
        && ([who.gid, who.egid, who.sgid].contains(&said.gid) || who.has(CAP_SETGID));
    if !may_be {
        return Err(Errno::EPERM.into());
    }
    if k.tasks.process(said.pid).is_some() { Ok(said) } else { Err(Errno::ESRCH.into()) }
}

/// Writes control messages one after the other.
pub(super) struct ControlWriter<'a> {
    pub t: &'a Rc<Task>,
    pub addr: u64,
    /// Bytes there are.
    pub room: usize,
    /// Bytes written.
    pub len: usize,
    /// `MSG_CTRUNC` once something did not fit.
    pub flags: u32,
}

impl ControlWriter<'_> {
    fn left(&self) -> usize {
        if self.addr == 0 { 0 } else { self.room - self.len }
    }

    /// Adds one, as far as it fits.
    pub fn put(&mut self, level: u32, kind: u32, body: &[u8]) -> Outcome<()> {
        let (layout, header_bytes) = (self.t.layout(), control_header_bytes(self.t.layout()));
        if self.left() < header_bytes {
            self.flags |= MSG_CTRUNC;
            return Ok(());
        }
        let len = (header_bytes + body.len()).min(self.left());
        if len < header_bytes + body.len() {
            self.flags |= MSG_CTRUNC;
        }
        let head = layout.writer().word(len as u64).u32(level).u32(kind);
        let bytes = head.raw(&body[..len - header_bytes]).finish();
        self.t.mm()?.write_user(self.addr.wrapping_add(self.len as u64), &bytes)?;
        self.len += len.next_multiple_of(layout.word_bytes as usize).min(self.left());
        Ok(())
    }
}

/// Gives received files numbers and writes them as a control message; those there is no room for are closed.
pub(super) fn give_files(
    k: &mut Kernel,
    control: &mut ControlWriter<'_>,
    files: Vec<Rc<OpenFile>>,
    close_on_exec: bool,
) -> Outcome<()> {
    let room = control.left().saturating_sub(control_header_bytes(control.t.layout())) / 4;
    let mut fds = Vec::new();
    for file in files {
        if fds.len() >= room {
            control.flags |= MSG_CTRUNC;
            k.close_file(file);
            continue;
        }
        match k.add_file(control.t, file, close_on_exec) {
            Ok(fd) => fds.push(fd),
            Err(_) => control.flags |= MSG_CTRUNC,
        }
    }
    if fds.is_empty() {
        return Ok(());
    }
    let body: Vec<u8> = fds.iter().flat_map(|fd| fd.to_le_bytes()).collect();
    control.put(SOL_SOCKET, SCM_RIGHTS, &body)
}
