//! Clocks that are ahead: what one wrong clock does to the counters of all others, and when an event counts as ahead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::program::{Ended, Workplace};

const HOUR: i64 = 3_600;

/// When the events of the logs arrived; long ago.
const ARRIVED: i64 = 1_707_605_599;

/// Users and their likes, with decays that are short and long.
fn place(event: &str) -> Workplace {
    let place = Workplace::new();
    let pipeline = format!(
        "name = \"p\"\nsink = \"sqlite:items.db\"\n[event]\nname = \"n\"\ntime = \"t\"\n{event}\n[window]\nlength = \
         \"1s\"\n[[counters]]\nname = \"user\"\nkey = [\"u\"]\nevents = \"*\"\ndecays = [\"10m\", \"1d\"]\n"
    );
    place.write("p.toml", pipeline);
    place
}

fn line(time: i64, arrival: i64) -> String {
    format!("{{\"n\":\"like\",\"u\":\"7\",\"t\":{time},\"at\":{arrival}}}\n")
}

/// A thousand likes, one a second, each of which has arrived when it happened.
fn likes() -> String {
    (ARRIVED - 999..=ARRIVED).map(|time| line(time, time)).collect()
}

/// The newest item in the file.
fn counts(place: &Workplace) -> Value {
    let item = place.run(&["dump", "sqlite:items.db"]).exits(0).stdout;
    serde_json::from_str::<Value>(item.trim()).unwrap()["counts"].clone()
}

fn run(place: &Workplace, log: String, workers: &str) -> Ended {
    place.write("log.jsonl", log);
    place.run(&["run", "p.toml", "--events", "log.jsonl", "-w", workers]).exits(0)
}

#[test]
fn one_clock_ahead_of_a_thousand_leaves_short_decays_as_they_are() {
    for (ahead, is_within) in [(23 * HOUR, false), (HOUR, false), (600, false), (61, false), (60, true), (59, true)] {
        for (settings, is_counted) in [("", is_within), ("ahead = \"arrival\"", true)] {
            for workers in ["1", "2"] {
                let place = place(&format!("arrival = \"at\"\n{settings}"));
                let log = likes() + &line(ARRIVED + ahead, ARRIVED);
                let ended = run(&place, log, workers);
                assert_eq!(ended.summary("events"), 1_000 + u64::from(is_counted), "{ahead} {settings}");
                let ten_minutes = counts(&place)["600"].clone();
                let last_update = if is_within { ARRIVED + ahead } else { ARRIVED };
                assert_eq!(ten_minutes["lastUpdate"], last_update, "{ahead} {settings}");
                // 487 likes are left of a thousand, and of a minute ahead nine tenths of them.
                assert!(ten_minutes["value"].as_f64().unwrap() > 440.0, "{ahead} {settings}: {ten_minutes}");
            }
        }
    }
}

#[test]
fn by_default_a_clock_an_hour_ahead_of_now_is_refused() {
    for workers in ["1", "2"] {
        let place = place("");
        let now = now_ms() / 1_000;
        let log: String = (now - 999..=now).chain([now + HOUR]).map(|time| line(time, 0)).collect();
        let ended = run(&place, log, workers);
        assert_eq!((ended.summary("events"), ended.summary("dead letters")), (1_000, 1));
        let ten_minutes = counts(&place)["600"].clone();
        assert_eq!(ten_minutes["lastUpdate"], now);
        assert!(ten_minutes["value"].as_f64().unwrap() > 480.0, "{ten_minutes}");
    }
}

#[test]
fn a_thousand_clocks_ahead_in_a_row_count_when_they_arrived_or_not_at_all() {
    for (settings, events) in [("", 1_000), ("ahead = \"arrival\"", 2_000)] {
        let place = place(&format!("arrival = \"at\"\n{settings}"));
        let ahead: String = (0..1_000).map(|_| line(ARRIVED + 23 * HOUR, ARRIVED)).collect();
        let ended = run(&place, likes() + &ahead, "2");
        assert_eq!(ended.summary("events"), events);
        let ten_minutes = counts(&place)["600"].clone();
        assert_eq!(ten_minutes["lastUpdate"], ARRIVED);
        let value = ten_minutes["value"].as_f64().unwrap();
        assert!((value - 487.0 - (events - 1_000) as f64).abs() < 2.0, "{value}");
    }
}

#[test]
fn an_arrival_that_cannot_be_falls_back_to_the_start_of_the_run_which_is_none() {
    let place = place("arrival = \"at\"\nahead = \"arrival\"");
    let in_a_century = ARRIVED + 100 * 366 * 86_400;
    let log: String = [0, -5, ARRIVED * 1_000, in_a_century].map(|arrival| line(ARRIVED + 10, arrival)).concat();
    let ended = run(&place, log + &line(in_a_century, 0) + &line(in_a_century, ARRIVED), "1");
    assert_eq!((ended.summary("events"), counts(&place)["600"]["lastUpdate"].as_i64()), (5, Some(ARRIVED + 10)));
    assert_eq!(place.read("dead_letters.jsonl").matches("time_ahead").count(), 1);
}

#[test]
fn files_whose_events_do_not_say_when_they_arrived_cannot_count_then() {
    let place = place("ahead = \"arrival\"");
    place.write("log.jsonl", likes());
    for command in [&["run", "p.toml", "--events", "log.jsonl"][..], &["check", "p.toml", "--events", "log.jsonl"]] {
        place.run(command).exits(2).says(&["log.jsonl", "arrival = \"FIELD\""]);
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[test]
fn a_pipe_goes_on_counting_long_after_it_was_opened() {
    for workers in ["1", "2"] {
        let place = place("time_unit = \"ms\"\nmax_ahead = \"0s\"");
        let mut run = place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:-", "-w", workers]);
        // What has been published was read after the start of the run.
        run.write(&line(1, 1));
        run.line();
        let later = now_ms();
        run.write(&line(later, later));
        let item: Value = serde_json::from_str(&run.line()).unwrap();
        assert_eq!(item["counts"]["600000"]["lastUpdate"], later);
        run.close_stdin();
        assert_eq!(run.end().exits(0).summary("events"), 2);
    }
}

#[test]
fn what_comes_through_a_pipe_too_far_ahead_counts_when_it_came() {
    for workers in ["1", "2"] {
        let place = place("time_unit = \"ms\"\nahead = \"arrival\"");
        let mut run = place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:-", "-w", workers]);
        let before = now_ms();
        run.write(&line(before + 23 * HOUR * 1_000, 0));
        let item: Value = serde_json::from_str(&run.line()).unwrap();
        let counted_at = item["counts"]["600000"]["lastUpdate"].as_i64().unwrap();
        assert!((before..=now_ms()).contains(&counted_at), "{counted_at}");
        run.close_stdin();
        run.end().exits(0);
    }
}

/// Writes an event of each of these times to one of two partitions, in a record with this timestamp.
fn write_records(brokers: &str, records: &[(i64, i64)]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for (partition, (time, timestamp)) in records.iter().enumerate() {
        let payload = line(*time, 0);
        let record = BaseRecord::<(), str>::to("events").partition(partition as i32 % 2);
        producer.send(record.payload(&payload).timestamp(*timestamp)).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

#[test]
fn record_timestamps_that_cannot_be_are_no_arrival_and_that_is_said_once() {
    const LATER: i64 = HOUR * 1_000;
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 2, 1).unwrap();
    let now = now_ms();
    // Milliseconds, seconds, next to nothing, and whatever a clock says that is an hour ahead.
    let timestamps = [now, now / 1_000, 1, now + LATER];
    let records: Vec<_> =
        timestamps.iter().flat_map(|timestamp| [(now, *timestamp), (now + LATER, *timestamp)]).collect();
    write_records(&cluster.bootstrap_servers(), &records);
    for (ahead, counted) in [("", 4), ("ahead = \"arrival\"", 8)] {
        for (workers, clock) in [("1", "wall"), ("2", "wall"), ("2", "event")] {
            let place = place(&format!("time_unit = \"ms\"\nmax_ahead = \"1m\"\n{ahead}"));
            let kafka = format!("[kafka]\nbrokers = \"{}\"\ntopic = \"events\"\n", cluster.bootstrap_servers());
            place.write("p.toml", place.read("p.toml") + &kafka);
            let ended = place.run(&["run", "p.toml", "--until-end", "-w", workers, "--clock", clock]).exits(0);
            assert_eq!((ended.summary("events"), ended.summary("dead letters")), (counted, 8 - counted), "{ended:?}");
            assert_eq!(ended.stderr.matches("cannot be the time of its arrival").count(), 1, "{ended:?}");
            let last_update = counts(&place)["600000"]["lastUpdate"].as_i64().unwrap();
            assert!((now..=now_ms()).contains(&last_update), "{last_update}");
        }
    }
}

#[test]
fn a_time_before_the_last_update_has_no_value() {
    let place = place("");
    run(&place, likes(), "1");
    let get = |more: &[&str]| place.run(&[&["get", "p.toml", "--key", "u=7"], more].concat()).exits(0);
    let early = (ARRIVED - 1).to_string();
    get(&["--at", &early]).prints(&[" -\n", "before the last update"]);
    get(&["--at", &early, "--json"]).prints(&["\"valueAt\":null"]);
    get(&["--at", &ARRIVED.to_string(), "--json"]).prints(&["\"valueAt\":48"]);
    get(&["--at", &format!("{ARRIVED}000")]).says(&["looks like milliseconds", "times are in seconds"]);
}
