//! The bytes on the wire, and what is not accepted for them.
