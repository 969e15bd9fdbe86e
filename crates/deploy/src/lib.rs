//! The same nodes on real devices: [`transport`] carries messages as bytes between processes, [`deploy`] starts and
//! follows the processes, [`profile`] fits devices and links to what they did, [`replay`] executes a deployed run again, [`storm`] breaks the world around them.
//!
//! **Invariant:** a deployed run can be executed again from what it recorded, to the bit; a device can harm nothing but
//! its own part of the run.
//!
//! **Boundary:** nothing that comes over a connection or out of a file is trusted before it is checked here.

pub mod deploy;
pub mod profile;
pub mod replay;
#[doc(hidden)]
pub mod storm;
pub mod transport;
