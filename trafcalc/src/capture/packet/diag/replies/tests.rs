use super::*;

/// The answer of Linux 6.18 to question 7 of socket 20705: the two ends of a connection between the ports 7001 and 40001 of 127.0.0.1, and
/// the end of the list.
const LIST: &str = "7c0000001400020007000000e1500000020100009c411b597f0000010000000000000000000000007f000001000000000000000000000000\
                    00000000d46406000000000000000000000000000000000000000000da151101050008000000000008000f00000000000c00150001000000\
                    0000000006001600520000007c0000001400020007000000e1500000020100001b599c417f0000010000000000000000000000007f000001\
                    00000000000000000000000000000000d56406000000000000000000000000000000000000000000db151101050008000000000008000f00\
                    000000000c0015000100000000000000060016005200000014000000030002000700000\
                    0e150000000000000";
const ASKED: Asked = Asked { sequence: 7, port: 20_705 };
/// Offsets of a header's fields, in bytes (`struct nlmsghdr`).
const LENGTH_AT: usize = 0;
const SEQUENCE_AT: usize = 8;
const PORT_AT: usize = 12;

/// The messages of the list.
fn list() -> Vec<Vec<u8>> {
    let digits: Vec<u8> =
        LIST.bytes().map(|digit| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap()).collect();
    let mut bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let rest = bytes.split_off(usize::from(bytes[LENGTH_AT]));
        messages.push(std::mem::replace(&mut bytes, rest));
    }
    messages
}

/// The same, with `to` in the header field at `at`.
fn changed(messages: &[Vec<u8>], at: usize, to: u32) -> Vec<Vec<u8>> {
    let change = |message: &Vec<u8>| {
        let mut message = message.clone();
        message[at..at + 4].copy_from_slice(&to.to_ne_bytes());
        message
    };
    messages.iter().map(change).collect()
}

/// The ports in a list, and whether its end was seen.
fn read(messages: &[Vec<u8>]) -> (Vec<[u16; 2]>, bool) {
    let mut found = Vec::new();
    let is_over = ASKED.read_list(&messages.concat(), &mut found).unwrap().is_break();
    let ports =
        |InetResponse { header, .. }: InetResponse| [header.socket_id.source_port, header.socket_id.destination_port];
    (found.into_iter().map(ports).collect(), is_over)
}

const BOTH: [[u16; 2]; 2] = [[40_001, 7_001], [7_001, 40_001]];

#[test]
fn a_list_is_read_to_its_end() {
    assert_eq!(read(&list()), (BOTH.to_vec(), true));
    assert_eq!(read(&list()[..2]), (BOTH.to_vec(), false), "more comes");
}

#[test]
fn what_is_left_of_a_former_list_is_no_part_of_the_next_one_and_does_not_end_it() {
    for (at, other) in [(SEQUENCE_AT, 6), (SEQUENCE_AT, 8), (PORT_AT, 20_706), (PORT_AT, 0)] {
        let former = changed(&list(), at, other);
        assert_eq!(read(&former), (Vec::new(), false), "{at} {other}");
        assert_eq!(read(&[former, list()].concat()), (BOTH.to_vec(), true), "{at} {other}");
    }
}

#[test]
fn an_answer_about_one_socket_is_that_to_the_last_question() {
    let answer = &list()[0];
    let ports = |reply: &[u8]| {
        ASKED.read_one(reply).unwrap().break_value().map(|found| found.unwrap().header.socket_id.source_port)
    };
    assert_eq!(ports(answer), Some(40_001));
    for (at, other) in [(SEQUENCE_AT, 6), (PORT_AT, 1)] {
        assert_eq!(ports(&changed(std::slice::from_ref(answer), at, other)[0]), None);
    }
}

#[test]
fn what_is_cut_short_is_an_error_and_nothing_that_is_sent_hangs_or_panics() {
    let whole = list().concat();
    for length in 1..whole.len() {
        let mut found = Vec::new();
        // The end may be cut off between two messages.
        let _ = ASKED.read_list(&whole[..length], &mut found);
        assert!(found.len() <= BOTH.len());
    }
    for at in 0..whole.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut hostile = whole.clone();
            hostile[at] = byte;
            let _ = ASKED.read_list(&hostile, &mut Vec::new());
            let _ = ASKED.read_one(&hostile);
        }
    }
}
