//! A bucket, reached through the real client: over HTTP, with failures on either way.

#[path = "../../../../tests/behaviour/s3_fake.rs"]
mod s3;

use std::thread;
use std::time::Duration;

use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;

use self::s3::{FakeS3, Fault};
use super::*;
use crate::checkpoint::tests::at;
use crate::checkpoint::{Claim, FreeLease, HeldLease, LeaseRecord, ManifestNumber, SegmentId};
use crate::epoch::Generation;

/// A store in the fake's bucket.
fn bucket(fake: &FakeS3) -> Store {
    let builder = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(fake.endpoint())
        .with_allow_http(true)
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .with_retry(RetryConfig { max_retries: 2, ..RetryConfig::default() });
    let location: Location = "s3://bucket/states/likes".parse().unwrap();
    Store::over(Arc::new(builder.build().unwrap()), "states/likes".into(), location, Failpoints::default()).unwrap()
}

fn name(number: u64) -> ObjectName {
    ManifestNumber(number).object()
}

#[test]
fn a_bucket_keeps_objects_under_its_prefix() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    store.create(&name(2), &Bytes::from("two")).unwrap();
    store.create(&name(1), &Bytes::from("one")).unwrap();
    assert_eq!(store.list("manifests").unwrap(), ["0000000001.json", "0000000002.json"]);
    assert_eq!(store.list("segments").unwrap(), Vec::<String>::new());
    assert_eq!(fake.keys(), ["states/likes/manifests/0000000001.json", "states/likes/manifests/0000000002.json"]);
    assert_eq!((store.get(&name(2)).unwrap(), store.size(&name(2)).unwrap()), (Bytes::from("two"), 3));
    assert_eq!(store.get_ranges(&name(2), &[1..3, 0..1]).unwrap(), [&b"wo"[..], b"t"]);
    for range in [1..4, 5..6] {
        assert_eq!(store.get_ranges(&name(2), &[range]).unwrap_err().kind(), CheckpointErrorKind::Damaged);
    }
    assert_eq!(store.get(&name(3)).unwrap_err().kind(), CheckpointErrorKind::Missing);
    let error = store.create(&name(2), &Bytes::from("other")).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Exists);
    assert!(error.to_string().contains("s3://bucket/states/likes/manifests/0000000002.json"), "{error}");
    store.delete(&name(2)).unwrap();
    store.delete(&name(2)).unwrap();
    assert_eq!(store.list("manifests").unwrap(), ["0000000001.json"]);
    assert!(store.lock().is_ok(), "there is no lock in a bucket");
}

#[test]
fn a_large_object_goes_in_parts_and_what_is_not_finished_is_taken_back() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    let segment = SegmentId { generation: Generation(1), serial: 1 }.segment();
    let content: Vec<u8> = (0..(20 << 20) + 7).map(|at: usize| ((at * 31) >> 3) as u8).collect();
    let mut writer = store.writer(segment.clone(), content.len() as u64);
    writer.write(&content).unwrap();
    fake.fail("PUT", Fault::Unavailable);
    writer.finish().unwrap();
    assert!(store.get(&segment).unwrap() == content);
    assert_eq!(fake.open_uploads(), 0);

    let mut writer = store.writer(SegmentId { generation: Generation(1), serial: 2 }.segment(), 0);
    writer.write(&content).unwrap();
    assert_eq!(fake.open_uploads(), 1);
    drop(writer);
    assert_eq!((fake.open_uploads(), fake.keys().len()), (0, 1));
}

#[test]
fn a_create_whose_answer_is_lost_is_known_as_ours() {
    for fault in [Fault::Unavailable, Fault::DoneThenFailed, Fault::DoneThenCut, Fault::Cut] {
        let fake = FakeS3::start();
        let store = bucket(&fake);
        fake.fail("PUT", fault);
        store.create(&name(1), &Bytes::from("ours")).unwrap();
        assert_eq!(store.get(&name(1)).unwrap(), "ours", "{fault:?}");
        let error = store.create(&name(1), &Bytes::from("theirs")).unwrap_err();
        assert_eq!(error.kind(), CheckpointErrorKind::Exists, "{fault:?}");
    }
}

#[test]
fn a_service_that_stays_away_is_an_error_after_some_tries() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    (0..40).for_each(|_| fake.fail("PUT", Fault::Unavailable));
    let error = store.create(&name(1), &Bytes::from("ours")).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Failed);
    (0..40).for_each(|_| fake.fail("GET", Fault::Cut));
    assert_eq!(store.get(&name(1)).unwrap_err().kind(), CheckpointErrorKind::Failed, "it is not said to be missing");
}

#[test]
fn a_bucket_that_is_not_there_is_not_an_empty_one() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    fake.fail("GET", Fault::NotFound);
    let error = store.list("manifests").unwrap_err();
    assert!(error.to_string().contains("cannot list s3://bucket/states/likes/manifests"), "{error}");
}

#[test]
fn a_service_that_replaces_what_must_not_be_replaced_is_refused() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    assert!(Claim::take(&store, None, at(0)).is_ok());
    fake.ignore_conditions();
    let error = Claim::take(&store, None, at(0)).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Usage);
    assert!(error.to_string().contains("If-None-Match"), "{error}");
}

/// The lease of a run of this generation, taken and renewed once.
fn lease(store: &Store, generation: u32) -> HeldLease {
    let free = FreeLease::wait_for(store).unwrap();
    let mut lease = free.take(Generation(generation), 1, Duration::from_secs(60));
    lease.renew(store, serde_json::Value::Null, at(0)).unwrap();
    lease
}

#[test]
fn a_lease_that_another_run_has_taken_is_neither_renewed_nor_given_back() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    let mut first = lease(&store, 1);
    // As if its process were gone.
    let mut free: serde_json::Value = serde_json::from_slice(&store.get(&ObjectName::lease()).unwrap()).unwrap();
    free["is_over"] = true.into();
    fake.put("states/likes/lease.json", free.to_string());
    let _second = lease(&store, 2);
    let before = fake.objects();
    let error = first.renew(&store, serde_json::Value::Null, at(1)).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::InUse);
    assert!(error.to_string().contains("another run (2) on "), "{error}");
    assert_eq!(first.give_back(&store, at(2)).unwrap_err().kind(), CheckpointErrorKind::InUse);
    assert_eq!(fake.objects(), before);
}

#[test]
fn a_renewal_whose_answer_was_lost_does_not_end_the_run() {
    for fault in [Fault::Unavailable, Fault::DoneThenFailed, Fault::DoneThenCut, Fault::Cut] {
        let fake = FakeS3::start();
        let store = bucket(&fake);
        let mut lease = lease(&store, 1);
        for _ in 0..3 {
            fake.fail("PUT", fault);
            let _ = lease.renew(&store, serde_json::Value::Null, at(1));
        }
        lease.renew(&store, serde_json::Value::Null, at(2)).unwrap();
        lease.give_back(&store, at(3)).unwrap();
        assert!(LeaseRecord::read(&store).unwrap().unwrap().is_over, "{fault:?}");
    }
}

#[test]
fn nothing_is_written_while_the_lease_is_not_held() {
    let fake = FakeS3::start();
    let store = bucket(&fake);
    let mut held = Lease::default();
    let leave = held.from_another(Duration::ZERO);
    store.fence(&held);
    let writing = {
        let store = store.clone();
        thread::spawn(move || store.create(&name(1), &Bytes::from("one")))
    };
    thread::sleep(Duration::from_millis(200));
    assert_eq!(fake.keys(), Vec::<String>::new());
    leave.for_good();
    writing.join().unwrap().unwrap();
    assert_eq!(fake.keys(), ["states/likes/manifests/0000000001.json"]);
}
