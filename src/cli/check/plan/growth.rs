//! How the numbers of keys grow while events come, whose number nobody knows beforehand.

/// More than so many points are not kept: then each second one goes.
const MOST_POINTS: usize = 128;

/// The numbers of keys after every so many events.
#[derive(Debug)]
pub(super) struct Growth {
    step: u64,
    /// After `step`, `2 step`, ... events: one number for each group.
    points: Vec<Vec<u64>>,
}

impl Default for Growth {
    fn default() -> Self {
        Growth { step: 1, points: Vec::new() }
    }
}

impl Growth {
    /// Takes notice of the numbers of keys after so many events; to be called after each of them.
    pub(super) fn observe(&mut self, events: u64, keys: impl FnOnce() -> Vec<u64>) {
        if events != self.step * (self.points.len() as u64 + 1) {
            return;
        }
        self.points.push(keys());
        if self.points.len() == MOST_POINTS {
            let mut places = 1..;
            self.points.retain(|_| places.next().is_some_and(|place: u64| place.is_multiple_of(2)));
            self.step *= 2;
        }
    }

    /// The numbers of keys after so many events, on the line between the two nearest points.
    pub(super) fn keys_after(&self, events: u64) -> Vec<u64> {
        let (before, past) = ((events / self.step) as usize, events % self.step);
        let none = || vec![0; self.points.first().map_or(0, Vec::len)];
        let point = |number: usize| number.checked_sub(1).and_then(|place| self.points.get(place)).cloned();
        let low = if before == 0 { none() } else { point(before).unwrap_or_else(none) };
        let high = point(before + 1).unwrap_or_else(|| low.clone());
        let between = |(low, high): (u64, u64)| low + high.saturating_sub(low) * past / self.step;
        low.into_iter().zip(high).map(between).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_there_was_at_any_share_of_any_number_of_events() {
        for events in [1, 4, 100, 127, 128, 129, 1_000, 77_777] {
            let mut growth = Growth::default();
            (1..=events).for_each(|event| growth.observe(event, || vec![event, 3]));
            assert!(growth.points.len() < MOST_POINTS);
            for share in [4, 2] {
                let keys = growth.keys_after(events / share);
                assert_eq!(keys[0], events / share, "a {share}th of {events}");
            }
        }
        assert_eq!(Growth::default().keys_after(0), Vec::<u64>::new());
    }
}
