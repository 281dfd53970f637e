//! What a state means under the pipeline file: before anything is deployed.

use crate::checkpoint::{Location, Search};
use crate::cli::CliError;
use crate::pipeline::{Changes, FeatureChanges, GroupChange, Pipeline};
use crate::telemetry::Printable;

/// What a run with this state would make of it, in words, and why it would be refused.
pub(super) fn compare(pipeline: &Pipeline, location: &Location) -> Result<(String, Option<String>), CliError> {
    let store = crate::cli::state::open(location)?;
    let mut search = Search::begin(&store, &pipeline.name)?;
    let Some(restorable) = search.next()? else {
        return Ok((format!("\nstate {}: no checkpoint yet: every group begins empty\n", Printable(location)), None));
    };
    let manifest = &restorable.manifest;
    let changes = Changes::between(&manifest.groups, pipeline);
    let heading = format!("state {}, checkpoint {} of {}", Printable(location), manifest.number.0, manifest.created);
    let mut lines = vec![String::new(), heading];
    let passed_over = search.passed_over().iter();
    lines.extend(passed_over.map(|passed| format!("  checkpoint {} is not whole: {}", passed.number.0, passed.why)));
    lines.extend(tell(&changes));
    Ok((lines.iter().map(|line| format!("{}\n", Printable(line))).collect(), changes.refusal()))
}

fn tell(changes: &Changes) -> Vec<String> {
    let mut lines: Vec<String> = changes.refused.iter().map(|why| format!("  all groups are refused: {why}")).collect();
    for (name, change) in &changes.groups {
        let group = format!("  group \"{name}\"");
        match change {
            GroupChange::Kept(changes) if changes.is_empty() => lines.push(format!("{group} is kept")),
            GroupChange::Kept(changes) => {
                lines.push(format!("{group} is kept, but"));
                lines.extend(tell_features(changes));
            }
            GroupChange::Added => lines.push(format!("{group} is added: it begins empty")),
            GroupChange::Dropped => lines.push(format!("{group} is dropped: its rows are left behind")),
            GroupChange::Refused { why } => lines.push(format!("{group} is refused: {why}")),
        }
    }
    let any = |wanted: &GroupChange| changes.groups.values().any(|change| change == wanted);
    if any(&GroupChange::Added) && any(&GroupChange::Dropped) {
        lines.push(
            "  (a group that got another name is another group: under its old name its rows are kept)".to_owned(),
        );
    }
    lines
}

fn tell_features(changes: &FeatureChanges) -> Vec<String> {
    let FeatureChanges { added, dropped, added_decays, dropped_decays } = changes;
    let told = [
        ("begins empty", added),
        ("is left behind", dropped),
        ("begins empty in every row", added_decays),
        ("is left behind in every row", dropped_decays),
    ];
    let lines = told.into_iter().flat_map(|(what, names)| names.iter().map(move |name| format!("    {name} {what}")));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::checkpoint::{Claim, Commits, Manifest, Store};
    use crate::sums::HashSeed;

    const FEED: &str = r#"
        name = "feed"
        event = { name = "n", time = "t" }
        counters = [
          { name = "user", key = ["u"], events = ["like", "view"], decays = ["1h"] },
          { name = "pair", key = ["u", "c"], events = ["like"], decays = ["1d"] },
        ]"#;

    fn pipeline(text: &str) -> Pipeline {
        Pipeline::parse(text, "p.toml", &|_| None).expect("a valid pipeline")
    }

    /// What is said of a changed file, with the state of the first.
    fn compared(changed: &str) -> Result<(String, Option<String>), CliError> {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let (store, pipeline_then) = (Store::open(&location).unwrap(), pipeline(FEED));
        let mut manifest = Manifest::new("feed".to_owned(), HashSeed(7), SystemTime::UNIX_EPOCH);
        manifest.groups = pipeline_then.meaning();
        let claim = Claim::take(&store, None, SystemTime::now()).unwrap();
        Commits::new(&store, claim, None, None).commit(manifest).unwrap();
        let (text, refusal) = compare(&pipeline(changed), &location)?;
        Ok((text.replace(&folder.path().display().to_string(), "DIR"), refusal))
    }

    #[test]
    fn what_becomes_of_each_group_is_told() {
        let (text, refusal) = compared(FEED).unwrap();
        let expected =
            "\nstate DIR, checkpoint 1 of 1970-01-01T00:00:00Z\n  group \"pair\" is kept\n  group \"user\" is kept\n";
        assert_eq!((text.as_str(), refusal), (expected, None));

        let changed =
            FEED.replace("\"pair\"", "\"both\"").replace("[\"1h\"]", "[\"1m\"]").replace("\"view\"", "\"buy\"");
        let (text, refusal) = compared(&changed).unwrap();
        let expected = "
state DIR, checkpoint 1 of 1970-01-01T00:00:00Z
  group \"both\" is added: it begins empty
  group \"pair\" is dropped: its rows are left behind
  group \"user\" is kept, but
    user.buy.count begins empty
    user.view.count is left behind
    1m begins empty in every row
    1h is left behind in every row
  (a group that got another name is another group: under its old name its rows are kept)
";
        assert_eq!((text.as_str(), refusal), (expected, None));
    }

    #[test]
    fn what_a_run_would_refuse_is_refused() {
        let (text, refusal) = compared(&FEED.replace("\"u\", \"c\"", "\"c\"")).unwrap();
        let why = "its key was [\"u\", \"c\"] and is [\"c\"]";
        assert!(text.ends_with(&format!("\n  group \"pair\" is refused: {why}\n  group \"user\" is kept\n")), "{text}");
        assert!(refusal.unwrap().contains(&format!("group \"pair\": {why}")));

        let (text, _) = compared(&FEED.replace("time = \"t\"", "time = \"at\"")).unwrap();
        assert!(text.contains("  all groups are refused: the field with the event's time was \"t\""), "{text}");

        let other = compared(&FEED.replace("\"feed\"", "\"food\"")).unwrap_err();
        assert!(
            other.exit_code() == 2 && other.to_string().contains("holds the state of the pipeline 'feed'"),
            "{other}"
        );
    }

    #[test]
    fn a_state_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Location::Folder(folder.path().join("none"));
        let error = compare(&pipeline(FEED), &missing).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("there is no such folder"), "{error}");

        let begun = Location::Folder(folder.path().to_owned());
        Claim::take(&Store::open(&begun).unwrap(), None, SystemTime::now()).unwrap();
        assert!(compare(&pipeline(FEED), &begun).unwrap().0.contains("no checkpoint yet"));
    }
}
