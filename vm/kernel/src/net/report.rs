//! `/proc/net`: sockets and the interface as text (`proc(5)`).

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use abi::socket::*;
use abi::time::USER_HZ;

use super::Socket;
use super::inet::address;
use super::inet::options::HOPS;
use super::inet::tcp::TcpSocket;
use super::inet::udp::UdpSocket;
use super::inventory::{self, Entry, of_family};
use super::netlink::NetlinkSocket;
use super::unix::UnixSocket;
use crate::kernel::{Kernel, SECOND_NS};

/// Columns of a line of `/proc/net/tcp` and its relatives: all have the same.
const LINE_COLUMNS: usize = 149;

/// What is above the lines of `/proc/net/udp` and its relatives.
const DATAGRAM_HEADER: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
const DATAGRAM_HEADER_V6: &str = "  sl  local_address                         remote_address                        st tx_queue \
                                  rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";

fn hexadecimal(family: u32, address: SocketAddr) -> String {
    let words = |octets: &[u8]| -> String {
        // Each word as a number of this processor, which is little endian.
        octets.chunks(4).map(|word| word.iter().rev().map(|byte| format!("{byte:02X}")).collect::<String>()).collect()
    };
    let ip = match (family, address.ip()) {
        (AF_INET, IpAddr::V4(ip)) => words(&ip.octets()),
        (AF_INET, IpAddr::V6(_)) => words(&[0; 4]),
        (_, ip) => words(&address::mapped(ip).octets()),
    };
    format!("{ip}:{:04X}", address.port())
}

/// One line of `/proc/net/tcp`, `udp` or their relatives.
fn line(entry: &Entry, number: &str, tail: &str) -> String {
    const TIME_WAIT_TIMER: u32 = 3;
    let family = entry.family;
    let remote = entry.remote.unwrap_or(SocketAddr::new(address::any(family), 0));
    let (local, remote) = (hexadecimal(family, entry.local), hexadecimal(family, remote));
    let (timer, ticks) = entry.left_ns.map_or((0, 0), |left_ns| (TIME_WAIT_TIMER, left_ns / (SECOND_NS / USER_HZ)));
    let (uid, inode) = entry.core().map_or((0, 0), |core| (core.uid.get(), core.inode.get()));
    // Nothing is ever unsent.
    format!(
        "{number}: {local} {remote} {:02X} {:08X}:{:08X} {timer:02X}:{ticks:08X} 00000000 {uid:5} {:8} {inode} {tail}",
        entry.state, 0, entry.received, 0
    )
}

fn table(header: &str, lines: Vec<String>) -> String {
    let all = std::iter::once(header.to_owned()).chain(lines);
    all.map(|line| format!("{line:<LINE_COLUMNS$}\n")).collect()
}

/// `/proc/net/tcp`, `/proc/net/tcp6`.
pub fn tcp(kernel: &mut Kernel, family: u32) -> String {
    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    const HEADER_V6: &str = "  sl  local_address                         remote_address                        st tx_queue \
                             rx_queue tr tm->when retrnsmt   uid  timeout inode";
    let entries = inventory::tcp(kernel, family);
    let lines = entries.iter().enumerate();
    let lines = lines.map(|(number, entry)| line(entry, &format!("{number:4}"), "1 0000000000000000 100 0 0 10 0"));
    table(if family == AF_INET { HEADER } else { HEADER_V6 }, lines.collect())
}

fn datagram_table(family: u32, entries: &[Entry]) -> String {
    let tail = |entry: &Entry| format!("2 0000000000000000 {}", entry.core().map_or(0, |core| core.drops.get()));
    let lines = entries.iter().map(|entry| line(entry, &format!("{:5}", entry.local.port()), &tail(entry)));
    table(if family == AF_INET { DATAGRAM_HEADER } else { DATAGRAM_HEADER_V6 }, lines.collect())
}

/// `/proc/net/udp`, `/proc/net/udplite`, and for IPv6.
pub fn udp(kernel: &mut Kernel, family: u32, protocol: u32) -> String {
    datagram_table(family, &inventory::udp(kernel, family, protocol))
}

/// `/proc/net/raw`, `/proc/net/raw6`.
pub fn raw(kernel: &mut Kernel, family: u32) -> String {
    datagram_table(family, &inventory::raw(kernel, family))
}

/// `/proc/net/icmp`, `/proc/net/icmp6`: sockets of ping.
pub fn icmp(kernel: &mut Kernel, family: u32) -> String {
    datagram_table(family, &inventory::ping(kernel, family))
}

/// `/proc/net/unix`.
pub fn unix(kernel: &mut Kernel) -> String {
    const LISTENS: u32 = 0x1_0000;
    const UNCONNECTED: u32 = 1;
    const CONNECTED: u32 = 3;
    let mut text = "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned();
    for socket in of_family::<UnixSocket>(kernel, AF_UNIX) {
        let (core, listens) = (socket.core(), socket.is_listening());
        let (flags, state) =
            (if listens { LISTENS } else { 0 }, if socket.is_connected() { CONNECTED } else { UNCONNECTED });
        let (kind, inode) = (core.kind, core.inode.get());
        let _ = write!(text, "0000000000000000: 00000002 00000000 {flags:08X} {kind:04X} {state:02X} {inode:5}");
        if let Some(name) = socket.name() {
            // Zero bytes show as at signs.
            let shown: Vec<u8> = name.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect();
            let _ = write!(text, " {}", String::from_utf8_lossy(&shown));
        }
        text.push('\n');
    }
    text
}

/// `/proc/net/netlink`.
pub fn netlink(kernel: &mut Kernel) -> String {
    let header = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode";
    let mut text = format!("{header}\n");
    for socket in of_family::<NetlinkSocket>(kernel, AF_NETLINK) {
        let (protocol, port, groups) = socket.describe();
        let (bytes, inode) = (socket.core().inbox.borrow().bytes(), socket.core().inode.get());
        let _ = writeln!(
            text,
            "0000000000000000 {protocol:<3} {port:<10} {:08x} {bytes:<8} 0        0     2        0        {inode:<8}",
            groups as u32
        );
    }
    text
}

/// `/proc/net/dev`.
pub fn dev(kernel: &mut Kernel) -> String {
    let carried = kernel.net.carried;
    let (bytes, packets) = (carried.bytes, carried.packets);
    format!(
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls \
         carrier compressed\n    \
         lo: {bytes:7} {packets:7}    0    0    0     0          0         0 {bytes:8} {packets:7}    0    0    0     0       \
         0          0\n"
    )
}

/// `/proc/net/sockstat`: how many sockets of each kind.
pub fn sockstat(kernel: &mut Kernel) -> String {
    let (used, tcp) = (kernel.net.sockets().len(), of_family::<TcpSocket>(kernel, AF_INET).len());
    let all = tcp + of_family::<TcpSocket>(kernel, AF_INET6).len();
    let udp = of_family::<UdpSocket>(kernel, AF_INET).len();
    let now_ns = kernel.host.monotonic_ns();
    let ended = kernel.net.time_waits.list(now_ns).iter().filter(|(_, _, ended, _)| ended.family == AF_INET).count();
    format!(
        "sockets: used {used}\nTCP: inuse {tcp} orphan 0 tw {ended} alloc {all} mem 0\nUDP: inuse {udp} mem 0\n\
         UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
    )
}

/// `/proc/net/snmp`: counts of RFC 1213, as far as a network without loss has any.
pub fn snmp(kernel: &mut Kernel) -> String {
    let mut tcp = inventory::tcp(kernel, AF_INET);
    tcp.extend(inventory::tcp(kernel, AF_INET6));
    let is_open = |entry: &&Entry| matches!(entry.state, inventory::ESTABLISHED | inventory::CLOSE_WAIT);
    let (open, packets) = (tcp.iter().filter(is_open).count(), kernel.net.carried.packets);
    let ip_names = "Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards \
                    InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs \
                    FragFails FragCreates OutTransmits";
    let tcp_names = "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab \
                     InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors";
    let udp_names =
        "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors";
    format!(
        "Ip: {ip_names}\nIp: 2 {HOPS} {packets} 0 0 0 0 0 {packets} {packets} 0 0 0 0 0 0 0 0 0 {packets}\n\
         Tcp: {tcp_names}\nTcp: 1 200 120000 -1 0 0 0 0 {open} 0 0 0 0 0 0\n\
         Udp: {udp_names}\nUdp: 0 0 0 0 0 0 0 0 0\n"
    )
}

/// `/proc/net/sockstat6`.
pub fn sockstat6(kernel: &mut Kernel) -> String {
    let tcp = of_family::<TcpSocket>(kernel, AF_INET6).len();
    let udp = of_family::<UdpSocket>(kernel, AF_INET6).len();
    format!("TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n")
}

/// `/proc/net/if_inet6`, `route`, `ipv6_route`, `arp`: they never change.
pub const IF_INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\n";
#[allow(missing_docs)]
pub const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\
                         \x20                                                      \n";
#[allow(missing_docs)]
pub const IPV6_ROUTE: &str = "00000000000000000000000000000001 80 00000000000000000000000000000000 00 \
                              00000000000000000000000000000000 00000000 00000001 00000000 80200001       lo\n";
#[allow(missing_docs)]
pub const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n";
