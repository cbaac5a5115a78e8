//! The command line of zkiln.

mod tensors;

fn main() {}
