//! The cursor: a position in one direction of one TCP connection, and what its movement is worth in payload bytes.
//!
//! TCP numbers every payload byte modulo 2^32 (RFC 9293, section 3.4). SYN and FIN take one number each and are not payload: a cursor
//! starts after the SYN, and never credits the FIN.

/// The signed distance in bytes from sequence number `from` to `to`.
///
/// Correct while the true distance is less than 2^31 either way, so a cursor has to be advanced at least once every 2 GiB of its
/// direction.
#[must_use]
pub const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// A position in one direction of one connection: the number of the next payload byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    next: u32,
    fin: Option<u32>,
}

impl Cursor {
    /// A cursor that has credited nothing yet and stands before payload byte `next`.
    #[must_use]
    pub const fn at(next: u32) -> Self {
        Self { next, fin: None }
    }

    /// A cursor after the SYN that carried the initial sequence number `isn`.
    #[must_use]
    pub const fn after_syn(isn: u32) -> Self {
        Self::at(isn.wrapping_add(1))
    }

    /// The number of the next payload byte.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// The sequence number that the FIN of this direction takes, once [`Cursor::ends_at`] named it.
    #[must_use]
    pub const fn fin(&self) -> Option<u32> {
        self.fin
    }

    /// Notes that the FIN of this direction takes the number `seq`, so that it is not credited as a byte.
    ///
    /// A forged or early FIN costs nothing: only a movement to exactly `seq + 1` stops short at `seq`, and the next movement makes up
    /// for that.
    pub const fn ends_at(&mut self, seq: u32) {
        self.fin = Some(seq);
    }

    /// Moves forward to `next` and returns the payload bytes passed over; a position already passed gives 0.
    #[must_use = "the bytes passed over belong to an account"]
    pub const fn advance_to(&mut self, next: u32) -> u32 {
        let next = match self.fin {
            Some(fin) if next == fin.wrapping_add(1) => fin,
            _ => next,
        };
        let moved = distance(self.next, next);
        if moved <= 0 {
            return 0;
        }
        self.next = next;
        moved.cast_unsigned()
    }

    /// Whether every byte up to the FIN has been credited.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        match self.fin {
            Some(fin) => fin == self.next,
            None => false,
        }
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
