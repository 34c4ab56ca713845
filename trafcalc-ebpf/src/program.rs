//! What every program of an object looks like.

/// Defines a program that passes its context to `$body` while its generation acts; with the feature `empty`, which the benchmark uses to learn
/// what hooking alone costs, it does nothing.
macro_rules! program {
    ($(#[$kind:meta])* $name:ident($context:ty) => $body:expr) => {
        $(#[$kind])*
        pub(crate) fn $name(context: $context) -> i32 {
            if cfg!(not(feature = "empty")) && $crate::maps::is_acting() {
                $body(&context);
            }
            0
        }
    };
}
pub(crate) use program;
