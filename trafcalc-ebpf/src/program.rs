//! What every program of an object looks like.

/// Defines a program that passes its context to `$body` while its generation acts, if the event is one that `$matters`; with the feature
/// `empty`, which the benchmark uses to learn what hooking alone costs, it does nothing.
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

/// For hooks of which every event matters.
#[inline(always)]
pub(crate) fn always<T>(_context: &T) -> bool {
    true
}
