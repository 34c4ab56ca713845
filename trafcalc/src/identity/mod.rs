//! Who a number is. Asks the system and remembers for a while; never decides what is counted.

mod users;

pub use users::Users;
