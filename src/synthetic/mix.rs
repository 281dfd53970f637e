//! Which events a synthetic log has, and how many of each.

use std::fmt;
use std::str::FromStr;

/// Event names with their weights: `like=5,view=80` is one like to sixteen views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventMix(Vec<(String, u32)>);

/// A text that is no mix of events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMix {
    /// A part that is no name with a weight.
    #[error("\"{0}\" is no NAME=WEIGHT with a whole weight, for example like=5,view=80")]
    Malformed(String),
    /// An event that stands twice.
    #[error("the event \"{0}\" stands twice in the mix")]
    Duplicate(String),
    /// Nothing would ever be drawn.
    #[error("at least one event of the mix needs a weight above 0")]
    Weightless,
}

impl EventMix {
    /// The names and their weights, in the order in which they were given.
    pub fn events(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(name, weight)| (name.as_str(), *weight))
    }
}

impl FromStr for EventMix {
    type Err = InvalidMix;

    fn from_str(text: &str) -> Result<EventMix, InvalidMix> {
        let mut events: Vec<(String, u32)> = Vec::new();
        for part in text.split(',') {
            let malformed = || InvalidMix::Malformed(part.to_owned());
            let (name, weight) = part.split_once('=').ok_or_else(malformed)?;
            let (name, weight) = (name.trim(), weight.trim().parse().map_err(|_| malformed())?);
            if name.is_empty() {
                return Err(malformed());
            }
            if events.iter().any(|(known, _)| known == name) {
                return Err(InvalidMix::Duplicate(name.to_owned()));
            }
            events.push((name.to_owned(), weight));
        }
        if events.iter().all(|(_, weight)| *weight == 0) {
            return Err(InvalidMix::Weightless);
        }
        Ok(EventMix(events))
    }
}

impl fmt::Display for EventMix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, weight)) in self.events().enumerate() {
            write!(formatter, "{}{name}={weight}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_reads_back_as_it_is_shown() {
        for text in ["like=5,view=80,click=10,comment=5", "x=0,y=1", "a b=4294967295"] {
            assert_eq!(text.parse::<EventMix>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for part in ["like", "", "like=", "=5", "like=-1", "like=1.5", "like=4294967296"] {
            let text = format!("view=1,{part}");
            assert_eq!(text.parse::<EventMix>(), Err(InvalidMix::Malformed(part.to_owned())));
        }
        assert_eq!("a=1,b=2,a=3".parse::<EventMix>(), Err(InvalidMix::Duplicate("a".to_owned())));
        assert_eq!("a=0,b=0".parse::<EventMix>(), Err(InvalidMix::Weightless));
    }
}
