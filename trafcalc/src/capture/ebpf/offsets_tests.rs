use super::*;

/// A hand-made type information file (Documentation/bpf/btf.rst): header, types, strings.
#[derive(Default)]
struct Blob {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

const INT: u32 = 1;
const PTR: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const FUNC: u32 = 12;
const VAR: u32 = 14;

impl Blob {
    fn new() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    /// A type without members; `size_or_type` as in `struct btf_type`.
    fn simple(&mut self, name: &str, kind: u32, size_or_type: u32) -> u32 {
        let name = self.string(name);
        self.words(&[name, kind << 24, size_or_type]);
        match kind {
            INT => self.words(&[size_or_type * 8]),
            // Static.
            VAR => self.words(&[0]),
            _ => {}
        }
        self.count += 1;
        self.count
    }

    /// A structure or union of (name, type, offset in bytes).
    fn record(&mut self, name: &str, kind: u32, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let name = self.string(name);
        let members: Vec<_> = members.iter().map(|&(name, id, at)| [self.string(name), id, at * 8]).collect();
        self.words(&[name, kind << 24 | u32::try_from(members.len()).unwrap(), size]);
        for member in members {
            self.words(&member);
        }
        self.count += 1;
        self.count
    }

    fn finish(self) -> Vec<u8> {
        let types = u32::try_from(self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        let header = [24, 0, types, types, strings].map(u32::to_ne_bytes).concat();
        [&0xeb9f_u16.to_ne_bytes()[..], &[1, 0], &header, &self.types, &self.strings].concat()
    }
}

/// The kernel's structures as far as they matter: the port in an anonymous structure in an anonymous union, the uid a structure of its
/// own, the state volatile.
fn kernel(protocol_bytes: u32, write_seq: &str) -> Vec<u8> {
    let mut blob = Blob::new();
    let [one, two, four, eight] = [1, 2, 4, 8].map(|bytes| blob.simple("int", INT, bytes));
    let pointer = blob.simple("", PTR, four);
    let address = blob.record("in6_addr", STRUCT, 16, &[]);
    let user = blob.record("", STRUCT, 4, &[("val", four, 0)]);
    let user = blob.simple("kuid_t", TYPEDEF, user);
    let state = blob.simple("", VOLATILE, one);
    let ports = blob.record("", STRUCT, 4, &[("skc_dport", two, 0), ("skc_num", two, 2)]);
    let port_pair = blob.record("", UNION, 4, &[("skc_portpair", four, 0), ("", ports, 0)]);
    let protocol = blob.simple("", INT, protocol_bytes);
    let common = [("skc_daddr", four, 0), ("skc_rcv_saddr", four, 4), ("", port_pair, 12), ("skc_family", two, 16)];
    let common = [&common[..], &[("skc_state", state, 18), ("skc_flags", eight, 96)]].concat();
    let common = [&common[..], &[("skc_v6_daddr", address, 56), ("skc_v6_rcv_saddr", address, 72)]].concat();
    let common = blob.record("sock_common", STRUCT, 136, &common);
    let lock = blob.record("", STRUCT, 32, &[("slock", four, 0), ("owned", four, 4)]);
    let lock = blob.simple("socket_lock_t", TYPEDEF, lock);
    let sock = [("__sk_common", common, 8), ("sk_type", two, 516), ("sk_protocol", protocol, 518)];
    let sock = [&sock[..], &[("sk_uid", user, 528), ("sk_dst_cache", pointer, 400), ("sk_lock", lock, 300)]].concat();
    let sock = [
        &sock[..],
        &[
            ("sk_max_ack_backlog", four, 620),
            ("sk_socket", pointer, 600),
            ("sk_rx_dst_ifindex", four, 332),
            ("sk_rx_dst", pointer, 336),
        ],
    ]
    .concat();
    blob.record("sock", STRUCT, 760, &sock);
    let tcp = [(write_seq, four, 1700), ("snd_nxt", four, 1600), ("snd_una", four, 1704), ("rcv_nxt", four, 1708)];
    let tcp = [&tcp[..], &[("bytes_acked", eight, 1720), ("bytes_received", eight, 1728), ("bytes_sent", eight, 1736)]]
        .concat();
    blob.record("tcp_sock", STRUCT, 2300, &tcp);
    blob.record(
        "inet_connection_sock",
        STRUCT,
        1500,
        &[("icsk_ulp_ops", pointer, 1300), ("icsk_ulp_data", pointer, 1304)],
    );
    blob.record("inet_sock", STRUCT, 900, &[("inet_sport", two, 780)]);
    let device = blob.record("", UNION, 8, &[("dev", pointer, 0), ("dev_rcu", pointer, 0)]);
    blob.record("dst_entry", STRUCT, 80, &[("", device, 0)]);
    blob.record("net_device", STRUCT, 2500, &[("flags", four, 176)]);
    blob.finish()
}

fn from_btf(bytes: &[u8]) -> Result<Offsets, CaptureError> {
    of_sockets(&parse(bytes)?)
}

#[test]
fn fields_are_found_through_anonymous_members_and_aliases() {
    let offsets = from_btf(&kernel(2, "write_seq")).unwrap();
    assert_eq!(offsets.skc_rcv_saddr, 8 + 4);
    assert_eq!(offsets.skc_state, 8 + 18);
    assert_eq!(offsets.sk_uid, 528);
    assert_eq!((offsets.write_seq, offsets.snd_nxt, offsets.bytes_sent), (1700, 1600, 1736));
    assert_eq!(offsets.dst_dev, 0);
    assert_eq!(offsets.dev_flags, 176);
}

#[test]
fn a_missing_field_is_a_reason_that_names_it() {
    let error = from_btf(&kernel(2, "sequence")).unwrap_err();
    assert!(error.to_string().contains("tcp_sock.write_seq"), "{error}");
}

/// Before Linux 5.6 `sk_protocol` had 8 bits, which makes MPTCP look like TCP.
#[test]
fn a_field_of_another_size_is_a_reason() {
    let error = from_btf(&kernel(1, "write_seq")).unwrap_err();
    assert!(error.to_string().contains("sock.sk_protocol"), "{error}");
}

#[test]
fn garbage_is_a_reason() {
    for bytes in [&b""[..], b"no type information", &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0]] {
        assert!(from_btf(bytes).is_err());
    }
}

#[test]
fn a_cast_is_known_by_the_kind_of_its_types() {
    let mut blob = Blob::new();
    let word = blob.simple("int", INT, 4);
    blob.simple("tcp_sock", TYPEDEF, word);
    let tcp_sock = blob.record("tcp_sock", STRUCT, 4, &[("write_seq", word, 0)]);
    blob.simple("bpf_rdonly_cast", TYPEDEF, word);
    let function = blob.simple("bpf_rdonly_cast", FUNC, word);
    assert_eq!(cast(&parse(&blob.finish()).unwrap()), Some(Cast { function, tcp_sock }));
}

/// As before Linux 6.2.
#[test]
fn without_the_function_there_is_no_cast() {
    assert_eq!(cast(&parse(&kernel(2, "write_seq")).unwrap()), None);
}

/// The variable alone is there before Linux 6.13, the structure alone from 6.15 to 6.19.
#[test]
fn preemptible_tracepoints_are_known_by_a_variable_and_a_structure() {
    for (has_variable, has_structure) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut blob = Blob::new();
        let word = blob.simple("int", INT, 4);
        if has_variable {
            blob.simple("tracepoint_srcu_srcu_data", VAR, word);
        }
        if has_structure {
            blob.record("srcu_ctr", STRUCT, 4, &[("srcu_locks", word, 0)]);
        }
        let are_preemptible = has_preemptible_tracepoints(&parse(&blob.finish()).unwrap());
        assert_eq!(are_preemptible, has_variable && has_structure);
    }
}
