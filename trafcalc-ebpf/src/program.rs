//! The common shape of all programs.

/// Defines a program that calls `$body` with its context, if `$matters` accepts the event and the program's generation is the active
/// one. With the feature `empty`, by which the benchmark measures the cost of the hook alone, the program does nothing.
macro_rules! program {
    ($(#[$kind:meta])* $name:ident($context:ty) => $body:expr) => {
        $crate::program::program!($(#[$kind])* $name($context) if $crate::program::always => $body);
    };
    ($(#[$kind:meta])* $name:ident($context:ty) if $matters:expr => $body:expr) => {
        $(#[$kind])*
        pub(crate) fn $name(context: $context) -> i32 {
            if cfg!(not(feature = "empty")) && $matters(&context) && $crate::maps::is_acting() {
                $body(&context);
            }
            0
        }
    };
}
pub(crate) use program;

/// The condition of hooks for which every event matters.
#[inline(always)]
pub(crate) fn always<T>(_context: &T) -> bool {
    true
}
