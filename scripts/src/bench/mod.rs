//! `edgebox bench`: the same work natively, in qemu, in our engine and as WebAssembly, compared.
//!
//! A [`Task`](task::Task) is measured in each [`Column`](column::Column), round after round, columns taking turns so
//! that a machine that is busy for a while is so for all of them. What is compared is CPU time, which other work on
//! the machine disturbs little: as the kernel charges it to programs here; for what runs in the browser, as the kernel
//! charges it to the browser's worker. A benchmark there waits before and after each run until that has been noted.
//!
//! | module | subject |
//! |---|---|
//! | [`column`] | where programs run, and for which processor they are compiled |
//! | [`task`] | what is run: benchmarks of `bench.c`, start-up figures, real programs, any command |
//! | [`catalogue`] | start-up figures and real programs |
//! | [`kit`] | compilers and emulators, installed; programs, compiled |
//! | [`root`] | an image's files as a directory, so that every column runs the same programs |
//! | [`host`] | programs run on this machine |
//! | [`browser`] | programs run in Chromium, by way of `bench.mjs` |
//! | [`measure`] | rounds, columns and their samples |
//! | [`summary`] | medians and ratios of the samples, and what disagrees |
//! | [`statistics`], [`table`] | medians and means; columns of text |
//! | [`packing`] | packing an image, beside `split` and `brotli` |
//! | [`report`] | what is printed, and the JSON |

pub mod browser;
pub mod catalogue;
pub mod column;
pub mod host;
pub mod kit;
pub mod measure;
pub mod packing;
pub mod report;
pub mod root;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod task;
