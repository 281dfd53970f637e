//! A machine's clock that is wrong, and jumps.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::program::Workplace;

/// The clock of whatever is started with its [environment](WrongClock::environment); right at first.
pub struct WrongClock {
    offset: File,
    environment: [(&'static str, String); 2],
}

impl WrongClock {
    pub fn new(place: &Workplace) -> WrongClock {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviour/wrong_clock.c");
        let (library, path): (PathBuf, PathBuf) = (place.path("wrong_clock.so"), place.path("offset"));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .output();
        let compiled = compiled.expect("a C compiler, which the program is built with, too");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let offset = File::create(&path).unwrap();
        let environment = [("LD_PRELOAD", library), ("WRONG_CLOCK", path)]
            .map(|(name, path)| (name, path.to_str().unwrap().to_owned()));
        let clock = WrongClock { offset, environment };
        clock.is_ahead_by(0);
        clock
    }

    /// From now on, by so many seconds; also of what runs already.
    pub fn is_ahead_by(&self, seconds: i64) {
        self.offset.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// It begins again in 1970.
    pub fn begins_again(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.is_ahead_by(-(now.as_secs() as i64));
    }

    pub fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}
