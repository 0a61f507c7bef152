//! Sockets: `socket(7)`, `unix(7)`, `ip(7)`, `ipv6(7)`, `tcp(7)`, `udp(7)`, `netdevice(7)`.

constants! { sockets: u32 {
    AF_UNSPEC = 0; AF_UNIX = 1; AF_INET = 2; AF_INET6 = 10; AF_NETLINK = 16; AF_PACKET = 17;
    SOCK_STREAM = 1; SOCK_DGRAM = 2; SOCK_RAW = 3; SOCK_RDM = 4; SOCK_SEQPACKET = 5;
    SOCK_NONBLOCK = 0o4000; SOCK_CLOEXEC = 0o2000000;
    SHUT_RD = 0; SHUT_WR = 1; SHUT_RDWR = 2; SCM_RIGHTS = 1; SCM_CREDENTIALS = 2;
} }

constants! { message_flags: u32 {
    MSG_OOB = 1; MSG_PEEK = 2; MSG_DONTROUTE = 4; MSG_CTRUNC = 8; MSG_TRUNC = 0x20; MSG_DONTWAIT = 0x40;
    MSG_EOR = 0x80; MSG_WAITALL = 0x100; MSG_CONFIRM = 0x800; MSG_ERRQUEUE = 0x2000; MSG_NOSIGNAL = 0x4000;
    MSG_MORE = 0x8000; MSG_WAITFORONE = 0x1_0000; MSG_FASTOPEN = 0x2000_0000; MSG_CMSG_CLOEXEC = 0x4000_0000;
} }

constants! { socket_options: u32 {
    SOL_SOCKET = 1; SO_DEBUG = 1; SO_REUSEADDR = 2; SO_TYPE = 3; SO_ERROR = 4; SO_DONTROUTE = 5; SO_BROADCAST = 6;
    SO_SNDBUF = 7; SO_RCVBUF = 8; SO_KEEPALIVE = 9; SO_OOBINLINE = 10; SO_NO_CHECK = 11; SO_PRIORITY = 12;
    SO_LINGER = 13; SO_BSDCOMPAT = 14; SO_REUSEPORT = 15; SO_PASSCRED = 16; SO_PEERCRED = 17; SO_RCVLOWAT = 18;
    SO_SNDLOWAT = 19; SO_RCVTIMEO = 20; SO_SNDTIMEO = 21; SO_BINDTODEVICE = 25; SO_ATTACH_FILTER = 26;
    SO_DETACH_FILTER = 27; SO_TIMESTAMP = 29; SO_ACCEPTCONN = 30; SO_PEERSEC = 31; SO_SNDBUFFORCE = 32;
    SO_RCVBUFFORCE = 33; SO_PASSSEC = 34; SO_TIMESTAMPNS = 35; SO_MARK = 36; SO_TIMESTAMPING = 37; SO_PROTOCOL = 38;
    SO_DOMAIN = 39; SO_RXQ_OVFL = 40; SO_PEERNAME = 28; SO_WIFI_STATUS = 41; SO_PEEK_OFF = 42;
    SO_NOFCS = 43; SO_LOCK_FILTER = 44; SO_MEMINFO = 55; SO_SELECT_ERR_QUEUE = 45; SO_BUSY_POLL = 46; SO_INCOMING_CPU = 49; SO_ATTACH_BPF = 50; SO_COOKIE = 57;
    SO_PEERGROUPS = 59; SO_ZEROCOPY = 60; SO_BINDTOIFINDEX = 62;
} }

/// `SO_*` of times with 64-bit fields, which 32-bit programs made for years after 2038 use (`asm-generic/socket.h`).
pub const SO_TIMESTAMP_NEW: u32 = 63;
#[allow(missing_docs)]
pub const SO_TIMESTAMPNS_NEW: u32 = 64;
#[allow(missing_docs)]
pub const SO_TIMESTAMPING_NEW: u32 = 65;
#[allow(missing_docs)]
pub const SO_RCVTIMEO_NEW: u32 = 66;
#[allow(missing_docs)]
pub const SO_SNDTIMEO_NEW: u32 = 67;

constants! { internet: u32 {
    IPPROTO_IP = 0; IPPROTO_ICMP = 1; IPPROTO_TCP = 6; IPPROTO_UDP = 17; IPPROTO_IPV6 = 41; IPPROTO_ICMPV6 = 58;
    IPPROTO_UDPLITE = 136;
    IP_TOS = 1; IP_TTL = 2; IP_HDRINCL = 3; IP_OPTIONS = 4; IP_RETOPTS = 7; IP_PKTINFO = 8; IP_MTU_DISCOVER = 10;
    IP_RECVERR = 11; IP_RECVTTL = 12; IP_RECVTOS = 13; IP_MTU = 14; IP_FREEBIND = 15; IP_TRANSPARENT = 19;
    IP_ROUTER_ALERT = 5; IP_RECVOPTS = 6; IP_PKTOPTIONS = 9; IP_RECVORIGDSTADDR = 20; IP_CHECKSUM = 23;
    IP_UNICAST_IF = 50; IP_MINTTL = 21; IP_BIND_ADDRESS_NO_PORT = 24; IP_MULTICAST_IF = 32; IP_MULTICAST_TTL = 33;
    IP_MULTICAST_LOOP = 34; IP_ADD_MEMBERSHIP = 35; IP_DROP_MEMBERSHIP = 36; IP_MULTICAST_ALL = 49;
    IPV6_ADDRFORM = 1; IPV6_2292PKTINFO = 2; IPV6_2292HOPOPTS = 3; IPV6_2292DSTOPTS = 4; IPV6_2292RTHDR = 5;
    IPV6_2292HOPLIMIT = 8; IPV6_FLOWINFO = 11; IPV6_FLOWINFO_SEND = 33; IPV6_RECVHOPOPTS = 53; IPV6_RECVRTHDR = 56;
    IPV6_RECVDSTOPTS = 58; IPV6_RECVPATHMTU = 60; IPV6_MINHOPCOUNT = 73; IPV6_UNICAST_IF = 76; IPV6_UNICAST_HOPS = 16; IPV6_MULTICAST_IF = 17; IPV6_MULTICAST_HOPS = 18;
    IPV6_MULTICAST_LOOP = 19; IPV6_ADD_MEMBERSHIP = 20; IPV6_DROP_MEMBERSHIP = 21; IPV6_MTU_DISCOVER = 23;
    IPV6_MTU = 24; IPV6_RECVERR = 25; IPV6_V6ONLY = 26; IPV6_RECVPKTINFO = 49; IPV6_PKTINFO = 50;
    IPV6_RECVHOPLIMIT = 51; IPV6_HOPLIMIT = 52; IPV6_DONTFRAG = 62; IPV6_RECVTCLASS = 66; IPV6_TCLASS = 67;
} }

/// `IPV6_AUTOFLOWLABEL`, `IPV6_ADDR_PREFERENCES`, `IPV6_FREEBIND`, `IPV6_MULTICAST_ALL` (`linux/in6.h`).
pub const IPV6_AUTOFLOWLABEL: u32 = 70;
#[allow(missing_docs)]
pub const IPV6_ADDR_PREFERENCES: u32 = 72;
#[allow(missing_docs)]
pub const IPV6_FREEBIND: u32 = 78;
#[allow(missing_docs)]
pub const IPV6_MULTICAST_ALL: u32 = 29;

constants! { transport: u32 {
    TCP_NODELAY = 1; TCP_MAXSEG = 2; TCP_CORK = 3; TCP_KEEPIDLE = 4; TCP_KEEPINTVL = 5; TCP_KEEPCNT = 6;
    TCP_SYNCNT = 7; TCP_LINGER2 = 8; TCP_DEFER_ACCEPT = 9; TCP_WINDOW_CLAMP = 10; TCP_INFO = 11; TCP_QUICKACK = 12;
    TCP_CONGESTION = 13; TCP_THIN_LINEAR_TIMEOUTS = 16; TCP_THIN_DUPACK = 17; TCP_USER_TIMEOUT = 18;
    TCP_FASTOPEN = 23; TCP_NOTSENT_LOWAT = 25; TCP_SAVE_SYN = 27; TCP_FASTOPEN_CONNECT = 30; TCP_FASTOPEN_NO_COOKIE = 34; TCP_INQ = 36;
} }

/// More options of TCP, IP, IPv6 and UDP (`linux/tcp.h`, `linux/in.h`, `linux/in6.h`, `linux/udp.h`).
pub const TCP_TX_DELAY: u32 = 37;
#[allow(missing_docs)]
pub const IP_LOCAL_PORT_RANGE: u32 = 51;
#[allow(missing_docs)]
pub const IPV6_ROUTER_ALERT_ISOLATE: u32 = 30;
#[allow(missing_docs)]
pub const IPV6_RECVORIGDSTADDR: u32 = 74;
#[allow(missing_docs)]
pub const IPV6_TRANSPARENT: u32 = 75;
#[allow(missing_docs)]
pub const IPV6_RECVFRAGSIZE: u32 = 77;
#[allow(missing_docs)]
pub const UDP_CORK: u32 = 1;
#[allow(missing_docs)]
pub const UDP_NO_CHECK6_TX: u32 = 101;
#[allow(missing_docs)]
pub const UDP_NO_CHECK6_RX: u32 = 102;

/// Many datagrams in one call: how long each is, whether they are wanted together (`linux/udp.h`).
pub const UDP_SEGMENT: u32 = 103;
#[allow(missing_docs)]
pub const UDP_GRO: u32 = 104;
/// A buffer that need not be copied (`linux/socket.h`).
pub const MSG_ZEROCOPY: u32 = 0x400_0000;
/// The protocol of a packet, for raw sockets (`linux/in.h`).
pub const IP_PROTOCOL: u32 = 52;
#[allow(missing_docs)]
pub const IP_RECVFRAGSIZE: u32 = 25;
/// Any protocol: the program makes headers; and the level of raw sockets' options (`linux/in.h`).
pub const IPPROTO_RAW: u32 = 255;
/// Messages of ICMP that are not wanted, of either version (`linux/icmp.h`, `linux/icmpv6.h`).
pub const ICMP_FILTER: u32 = 1;
/// Where checksums are put (`linux/in6.h`).
pub const IPV6_CHECKSUM: u32 = 7;
/// Groups of receivers, and single senders of theirs (`linux/in.h`, RFC 3678).
pub const IP_UNBLOCK_SOURCE: u32 = 37;
#[allow(missing_docs)]
pub const IP_BLOCK_SOURCE: u32 = 38;
#[allow(missing_docs)]
pub const IP_ADD_SOURCE_MEMBERSHIP: u32 = 39;
#[allow(missing_docs)]
pub const IP_DROP_SOURCE_MEMBERSHIP: u32 = 40;
#[allow(missing_docs)]
pub const MCAST_JOIN_GROUP: u32 = 42;
#[allow(missing_docs)]
pub const MCAST_BLOCK_SOURCE: u32 = 43;
#[allow(missing_docs)]
pub const MCAST_UNBLOCK_SOURCE: u32 = 44;
#[allow(missing_docs)]
pub const MCAST_LEAVE_GROUP: u32 = 45;
#[allow(missing_docs)]
pub const MCAST_JOIN_SOURCE_GROUP: u32 = 46;
#[allow(missing_docs)]
pub const MCAST_LEAVE_SOURCE_GROUP: u32 = 47;

/// Bytes that checksums cover (`net/udplite.h`).
pub const UDPLITE_SEND_CSCOV: u32 = 10;
#[allow(missing_docs)]
pub const UDPLITE_RECV_CSCOV: u32 = 11;

constants! { devices: u32 {
    SIOCGIFNAME = 0x8910; SIOCGIFCONF = 0x8912; SIOCGIFFLAGS = 0x8913; SIOCSIFFLAGS = 0x8914; SIOCGIFADDR = 0x8915;
    SIOCGIFDSTADDR = 0x8917; SIOCGIFBRDADDR = 0x8919; SIOCGIFNETMASK = 0x891b; SIOCGIFMETRIC = 0x891d;
    SIOCGIFMTU = 0x8921; SIOCGIFHWADDR = 0x8927; SIOCGIFINDEX = 0x8933; SIOCADDRT = 0x890b; SIOCDELRT = 0x890c;
    IFF_UP = 1; IFF_LOOPBACK = 8; IFF_RUNNING = 0x40; IFF_LOWER_UP = 0x1_0000; IFNAMSIZ = 16; ARPHRD_LOOPBACK = 772;
} }

/// `ioctl`s of sockets (`linux/sockios.h`): is the next byte the urgent one, bytes on their way, transmit queue length,
/// device map.
pub const SIOCATMARK: u32 = 0x8905;
/// When the last message came, as a `timeval` or a `timespec`: in the program's own words, or in 64 bits.
pub const SIOCGSTAMP: u32 = 0x8906;
#[allow(missing_docs)]
pub const SIOCGSTAMPNS: u32 = 0x8907;
#[allow(missing_docs)]
pub const SIOCGSTAMP_NEW: u32 = 0x8010_8906;
#[allow(missing_docs)]
pub const SIOCGSTAMPNS_NEW: u32 = 0x8010_8907;
/// Whom signals go to: two names each.
pub const FIOSETOWN: u32 = 0x8901;
#[allow(missing_docs)]
pub const SIOCSPGRP: u32 = 0x8902;
#[allow(missing_docs)]
pub const FIOGETOWN: u32 = 0x8903;
#[allow(missing_docs)]
pub const SIOCGPGRP: u32 = 0x8904;
#[allow(missing_docs)]
pub const SIOCOUTQ: u32 = 0x5411;
/// Of a TCP connection: bytes that were not sent.
pub const SIOCOUTQNSD: u32 = 0x894b;
#[allow(missing_docs)]
pub const SIOCGIFTXQLEN: u32 = 0x8942;
#[allow(missing_docs)]
pub const SIOCGIFMAP: u32 = 0x8970;
#[allow(missing_docs)]
pub const SIOCETHTOOL: u32 = 0x8946;

constants! { netlink: u32 {
    NETLINK_ROUTE = 0; NETLINK_SOCK_DIAG = 4; NETLINK_KOBJECT_UEVENT = 15; SOL_NETLINK = 270;
    NETLINK_ADD_MEMBERSHIP = 1; NETLINK_DROP_MEMBERSHIP = 2; NETLINK_PKTINFO = 3; NETLINK_BROADCAST_ERROR = 4;
    NETLINK_NO_ENOBUFS = 5; NETLINK_LISTEN_ALL_NSID = 8; NETLINK_LIST_MEMBERSHIPS = 9; NETLINK_CAP_ACK = 10;
    NETLINK_EXT_ACK = 11; NETLINK_GET_STRICT_CHK = 12;
    NLM_F_REQUEST = 1; NLM_F_MULTI = 2; NLM_F_ACK = 4; NLM_F_ROOT = 0x100; NLM_F_MATCH = 0x200; NLM_F_DUMP = 0x300;
    NLMSG_NOOP = 1; NLMSG_ERROR = 2; NLMSG_DONE = 3;
    RTM_NEWLINK = 16; RTM_GETLINK = 18; RTM_NEWADDR = 20; RTM_GETADDR = 22; RTM_NEWROUTE = 24; RTM_GETROUTE = 26;
    RTM_GETNEIGH = 30; RTM_NEWRULE = 32; RTM_GETRULE = 34;
} }

/// Longest path of a unix socket's address.
pub const UNIX_PATH_MAX: usize = 108;
/// Bytes of a `struct sockaddr_storage`: no address is longer.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// Address families end here.
pub const AF_MAX: u32 = 46;
