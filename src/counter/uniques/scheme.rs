//! What the uniques of one counter group have in common.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::counter::factors::Factors;
use crate::counter::{DecayInterval, Decays};

/// How exact uniques are, and how large they may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UniquesConfig {
    /// The registers of a sketch, one byte each, for each interval: the relative standard error is
    /// `1 / sqrt(registers - 2)`.
    pub registers: usize,
    /// Up to so many different members, ever, a set is exact. A member takes 16 bytes, for all
    /// intervals together; a sketch about `registers` bytes for each interval.
    pub exact_members: usize,
}

/// A configuration that uniques cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUniquesConfig {
    /// Too few or too many registers.
    #[error("a sketch of uniques has from {min} to {max} registers, not {0}",
        min = UniquesConfig::MIN_REGISTERS, max = UniquesConfig::MAX_REGISTERS)]
    Registers(usize),
    /// Too many exact members: each new one shifts the others.
    #[error("a set of uniques is exact up to at most {max} members, not {0}",
        max = UniquesConfig::MAX_EXACT_MEMBERS)]
    ExactMembers(usize),
}

impl UniquesConfig {
    /// The fewest registers; the standard error is 27 %.
    pub const MIN_REGISTERS: usize = 16;
    /// The most registers; the standard error is 1.6 %.
    pub const MAX_REGISTERS: usize = 4096;
    /// The largest bound for exact sets.
    pub const MAX_EXACT_MEMBERS: usize = 4096;
}

impl Default for UniquesConfig {
    /// Sketches with a standard error of 6.3 %, and exact up to 64 members (1 KiB, which is less
    /// than the sketches of four intervals).
    fn default() -> UniquesConfig {
        UniquesConfig { registers: 256, exact_members: 64 }
    }
}

/// The decay intervals of a group's uniques and their configuration; the counterpart of
/// [`Decays`].
#[derive(Clone, Debug)]
pub struct UniquesScheme {
    config: UniquesConfig,
    factors: Arc<Factors>,
}

impl UniquesScheme {
    /// Uniques over the intervals of a set, in its order.
    pub fn new(config: UniquesConfig, decays: &Decays) -> Result<UniquesScheme, InvalidUniquesConfig> {
        if !(UniquesConfig::MIN_REGISTERS..=UniquesConfig::MAX_REGISTERS).contains(&config.registers) {
            return Err(InvalidUniquesConfig::Registers(config.registers));
        }
        if config.exact_members > UniquesConfig::MAX_EXACT_MEMBERS {
            return Err(InvalidUniquesConfig::ExactMembers(config.exact_members));
        }
        Ok(UniquesScheme { config, factors: decays.factors() })
    }

    /// The configuration.
    pub fn config(&self) -> UniquesConfig {
        self.config
    }

    /// The intervals, in the order of a row's values.
    pub fn intervals(&self) -> &[DecayInterval] {
        self.factors.intervals()
    }

    /// What the intervals' values keep over a time.
    pub(super) fn factors(&self) -> &Factors {
        &self.factors
    }
}
