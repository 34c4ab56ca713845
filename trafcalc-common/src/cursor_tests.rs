use proptest::prelude::*;

use super::*;

/// One direction of a connection: its bytes, numbered from after the SYN.
const MAX_STREAM_BYTES: u32 = 1 << 20;

/// Segments of a stream as byte ranges: retransmitted, reordered, lost in any way.
fn segments() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((0..MAX_STREAM_BYTES, 0..65_536_u32), 0..40)
}

proptest! {
    #[test]
    fn credits_what_a_model_that_remembers_every_byte_credits(isn: u32, segments in segments()) {
        let mut cursor = Cursor::after_syn(isn);
        let mut highest_byte = 0;
        let mut credited = 0;
        for (start, length) in segments {
            credited += cursor.advance_to(isn.wrapping_add(1).wrapping_add(start + length));
            highest_byte = highest_byte.max(start + length);
            prop_assert_eq!(credited, highest_byte);
        }
    }

    #[test]
    fn syn_and_fin_are_never_credited(isn: u32, length in 0..MAX_STREAM_BYTES, retransmissions in 0..3_usize) {
        let mut cursor = Cursor::after_syn(isn);
        let fin = isn.wrapping_add(1).wrapping_add(length);
        let mut credited = 0;
        for _ in 0..=retransmissions {
            cursor.ends_at(fin);
            credited += cursor.advance_to(fin);
            credited += cursor.advance_to(fin.wrapping_add(1));
        }
        prop_assert_eq!(credited, length);
        prop_assert!(cursor.is_complete());
    }

    #[test]
    fn a_forged_fin_costs_nothing_in_the_end(isn: u32, forged in 0..MAX_STREAM_BYTES, rest in 1..MAX_STREAM_BYTES) {
        let mut cursor = Cursor::after_syn(isn);
        let first = isn.wrapping_add(1);
        cursor.ends_at(first.wrapping_add(forged));
        let mut credited = cursor.advance_to(first.wrapping_add(forged + 1));
        credited += cursor.advance_to(first.wrapping_add(forged + 1 + rest));
        prop_assert_eq!(credited, forged + 1 + rest);
    }

    #[test]
    fn wraps_around_any_number_of_times(start: u32, steps in prop::collection::vec(0..=i32::MAX.cast_unsigned(), 0..20)) {
        let mut cursor = Cursor::at(start);
        let mut seq = start;
        for step in steps {
            seq = seq.wrapping_add(step);
            prop_assert_eq!(cursor.advance_to(seq), step);
        }
    }
}
