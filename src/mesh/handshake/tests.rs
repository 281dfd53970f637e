//! What must not be believed.

use proptest::prelude::*;

use super::*;

fn party(process: u32) -> Party {
    let secret = Secret::of("of the tests").expect("it has a text");
    Party { secret, version: VERSION, cluster: ClusterId([7; 32]), processes: 4, process }
}

/// All four messages of one conversation.
#[derive(Clone, Copy)]
struct Recorded {
    hello: [u8; HELLO_BYTES],
    challenge: [u8; CHALLENGE_BYTES],
    proof: [u8; PROOF_BYTES],
    verdict: [u8; VERDICT_BYTES],
}

/// How a conversation went, in which `change` may change each message on its way (numbered from 0).
struct Ended {
    /// Whether the answerer took the caller for proven, and what it decided.
    answerer: Option<Result<Generation, Refusal>>,
    /// What the caller was told.
    caller: Result<Result<Generation, Refusal>, Strange>,
    recorded: Recorded,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    to: u32,
    purpose: Purpose,
    known: Option<Generation>,
    nonces: (Nonce, Nonce),
}

const GENERATION: Generation = Generation(0x0102_0304);

fn call(to: u32, purpose: Purpose) -> Call {
    let known = (purpose != Purpose::Control).then_some(GENERATION);
    Call { to, purpose, known, nonces: (rand::random(), rand::random()) }
}

fn converse(caller: &Party, answerer: &Party, call: Call, mut change: impl FnMut(usize, &mut [u8])) -> Ended {
    let (calling, mut hello) = Caller::new(caller, call.to, call.purpose, call.known, call.nonces.0);
    let mut recorded =
        Recorded { hello, challenge: [0; CHALLENGE_BYTES], proof: [0; PROOF_BYTES], verdict: [0; VERDICT_BYTES] };
    change(0, &mut hello);
    let (answering, mut challenge) = match Answerer::new(answerer, hello, call.nonces.1) {
        Ok(answering) => answering,
        Err(strange) => return Ended { answerer: None, caller: Err(strange), recorded },
    };
    recorded.challenge = challenge;
    change(1, &mut challenge);
    let (waiting, mut proof) = match calling.prove(challenge) {
        Ok(waiting) => waiting,
        Err(strange) => return Ended { answerer: None, caller: Err(strange), recorded },
    };
    recorded.proof = proof;
    change(2, &mut proof);
    let proven = match answering.hear(proof) {
        Ok(proven) => proven,
        Err(strange) => return Ended { answerer: None, caller: Err(strange), recorded },
    };
    let decided = proven.judge(Some(GENERATION), false);
    let mut verdict = proven.tell(decided);
    recorded.verdict = verdict;
    change(3, &mut verdict);
    Ended { answerer: Some(decided), caller: waiting.verdict(verdict), recorded }
}

fn unchanged(_: usize, _: &mut [u8]) {}

#[test]
fn two_of_one_cluster_agree_for_each_purpose() {
    for (from, to, purpose) in
        [(1, 0, Purpose::Control), (3, 0, Purpose::Bulk), (2, 0, Purpose::Data), (3, 2, Purpose::Data)]
    {
        let ended = converse(&party(from), &party(to), call(to, purpose), unchanged);
        assert_eq!(ended.answerer, Some(Ok(GENERATION)));
        assert_eq!(ended.caller, Ok(Ok(GENERATION)));
    }
}

#[test]
fn a_caller_is_told_why_it_is_refused() {
    let refusal = |caller: &Party, answerer: &Party, call| {
        let ended = converse(caller, answerer, call, unchanged);
        let told = ended.caller.expect("both know the secret").expect_err("it is refused");
        assert_eq!(ended.answerer, Some(Err(told)));
        told
    };
    let (us, data) = (party(1), call(1, Purpose::Data));
    assert_eq!(refusal(&Party { version: 2, ..party(2) }, &us, data), Refusal::OtherVersion);
    assert_eq!(refusal(&Party { processes: 5, ..party(2) }, &us, data), Refusal::OtherProcesses);
    assert_eq!(refusal(&Party { cluster: ClusterId([8; 32]), ..party(2) }, &us, data), Refusal::OtherCluster);
    assert_eq!(refusal(&party(3), &us, call(2, Purpose::Data)), Refusal::OtherIndex);
    let other_generation = Call { known: Some(Generation(9)), ..data };
    assert_eq!(refusal(&party(2), &us, other_generation), Refusal::OtherGeneration);
    // Of an index that there is not, of one that should wait, for a purpose that only process 0 has, out of order.
    assert_eq!(refusal(&party(4), &us, data), Refusal::Misplaced);
    assert_eq!(refusal(&party(1), &us, data), Refusal::Misplaced);
    assert_eq!(refusal(&party(2), &us, call(1, Purpose::Bulk)), Refusal::Misplaced);
    assert_eq!(refusal(&party(2), &party(0), Call { known: None, ..call(0, Purpose::Data) }), Refusal::Misplaced);
    let control = call(0, Purpose::Control);
    assert_eq!(refusal(&party(2), &party(0), Call { known: Some(GENERATION), ..control }), Refusal::Misplaced);
    assert!(Refusal::ALL.iter().all(|refusal| *refusal as u8 != ACCEPTED));
}

#[test]
fn what_this_side_does_not_know_or_has_already_is_refused() {
    let (caller, answerer, call) = (party(2), party(1), call(1, Purpose::Data));
    let (calling, hello) = Caller::new(&caller, call.to, call.purpose, call.known, call.nonces.0);
    let (answering, challenge) = Answerer::new(&answerer, hello, call.nonces.1).expect("it is a hello");
    assert_eq!(answering.claimed(), 2);
    let (_, proof) = calling.prove(challenge).expect("it is a challenge");
    let proven = answering.hear(proof).expect("it is a proof");
    assert_eq!(proven.hello().purpose, Purpose::Data);
    assert_eq!(proven.judge(None, false), Err(Refusal::NotYet));
    assert_eq!(proven.judge(None, true), Err(Refusal::NotYet));
    assert_eq!(proven.judge(Some(GENERATION), true), Err(Refusal::Duplicate));
    assert_eq!(proven.judge(Some(Generation(9)), true), Err(Refusal::OtherGeneration));
}

#[test]
fn who_does_not_know_the_secret_is_a_stranger_on_either_side() {
    for other in [Secret::none(), Secret::of("another").expect("it has a text")] {
        let stranger = |process| Party { secret: other.clone(), ..party(process) };
        let ended = converse(&stranger(1), &party(0), call(0, Purpose::Control), unchanged);
        assert_eq!((ended.answerer, ended.caller), (None, Err(Strange::Unproven)));
        // One that lets everybody in is not believed either.
        let (caller, answerer, call) = (party(1), stranger(0), call(0, Purpose::Control));
        let (calling, hello) = Caller::new(&caller, call.to, call.purpose, call.known, call.nonces.0);
        let (answering, challenge) = Answerer::new(&answerer, hello, call.nonces.1).expect("it is a hello");
        let (waiting, _) = calling.prove(challenge).expect("it is a challenge");
        let verdict = Proven(answering).tell(Ok(GENERATION));
        assert_eq!(waiting.verdict(verdict), Err(Strange::Unproven));
    }
}

#[test]
fn a_verdict_that_contradicts_the_challenge_is_not_believed() {
    for answerer in [
        party(1),
        Party { version: 2, ..party(0) },
        Party { processes: 5, ..party(0) },
        Party { cluster: ClusterId([8; 32]), ..party(0) },
    ] {
        let (caller, call) = (party(2), call(0, Purpose::Data));
        let (calling, hello) = Caller::new(&caller, call.to, call.purpose, call.known, call.nonces.0);
        let (answering, challenge) = Answerer::new(&answerer, hello, call.nonces.1).expect("it is a hello");
        let (waiting, proof) = calling.prove(challenge).expect("it is a challenge");
        let proven = answering.hear(proof).expect("it is a proof");
        assert_eq!(waiting.verdict(proven.tell(Ok(GENERATION))), Err(Strange::Garbage));
    }
}

fn purposes() -> impl Strategy<Value = Purpose> {
    prop::sample::select(Purpose::ALL.to_vec())
}

fn calls() -> impl Strategy<Value = (u32, Call)> {
    let of_leader = (1..4_u32, purposes()).prop_map(|(from, purpose)| (from, 0, purpose));
    let of_others = (1..3_u32).prop_flat_map(|to| (to + 1..4, Just(to), Just(Purpose::Data)));
    (prop_oneof![of_leader, of_others], any::<(Nonce, Nonce)>())
        .prop_map(|((from, to, purpose), nonces)| (from, Call { nonces, ..call(to, purpose) }))
}

proptest! {
    #[test]
    fn a_bit_changed_on_its_way_undoes_it((from, call) in calls(), message in 0..4_usize, bit in any::<prop::sample::Index>()) {
        let ended = converse(&party(from), &party(call.to), call, |index, bytes| {
            if index == message {
                let bit = bit.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        });
        // The last one is the caller's alone to judge.
        prop_assert!(message == 3 || ended.answerer.is_none());
        prop_assert!(ended.caller.is_err());
    }

    #[test]
    fn what_was_heard_says_nothing_in_another_conversation(
        (from, call) in calls(), nonces in any::<(Nonce, Nonce)>(), replayed in 1..16_u8,
    ) {
        let old = converse(&party(from), &party(call.to), call, unchanged).recorded;
        let ended = converse(&party(from), &party(call.to), Call { nonces, ..call }, |index, bytes| {
            if replayed & 1 << index != 0 {
                bytes.copy_from_slice(match index {
                    0 => &old.hello,
                    1 => &old.challenge,
                    2 => &old.proof,
                    _ => &old.verdict,
                });
            }
        });
        // Whoever says the old hello and the old proof meets a new nonce, and so does who says the rest.
        prop_assert!(ended.caller.is_err());
        prop_assert!(replayed == 1 << 3 || ended.answerer.is_none());
    }

    #[test]
    fn a_proof_serves_for_nothing_else((from, one) in calls(), (other_from, other) in calls()) {
        // With the same nonces, which never happens: so it is the rest that tells them apart.
        let other = Call { nonces: one.nonces, ..other };
        prop_assume!((from, one.to, one.purpose) != (other_from, other.to, other.purpose));
        let said = converse(&party(from), &party(one.to), one, unchanged).recorded;
        for replace in [2, 3] {
            let ended = converse(&party(other_from), &party(other.to), other, |index, bytes| {
                if index == replace {
                    bytes.copy_from_slice(if index == 2 { &said.proof } else { &said.verdict });
                }
            });
            prop_assert!(ended.caller.is_err());
            prop_assert!(replace == 3 || ended.answerer.is_none());
        }
    }

    #[test]
    fn a_proof_does_not_serve_in_the_other_direction((from, call) in calls()) {
        let said = converse(&party(from), &party(call.to), call, unchanged).recorded;
        let proof_of_answerer = &said.verdict[VERDICT_BYTES - PROOF_BYTES..];
        let ended = converse(&party(from), &party(call.to), call, |index, bytes| match index {
            2 => bytes.copy_from_slice(proof_of_answerer),
            3 => bytes[VERDICT_BYTES - PROOF_BYTES..].copy_from_slice(&said.proof),
            _ => (),
        });
        prop_assert!(ended.answerer.is_none());
        let ended = converse(&party(from), &party(call.to), call, |index, bytes| {
            if index == 3 {
                bytes[VERDICT_BYTES - PROOF_BYTES..].copy_from_slice(&said.proof);
            }
        });
        prop_assert!(ended.caller.is_err());
    }

    #[test]
    fn garbage_is_never_more_than_garbage(bytes in any::<[u8; 32]>(), with_magic: bool) {
        let mut hello = [0; HELLO_BYTES];
        hello.iter_mut().zip(bytes.iter().cycle()).for_each(|(place, byte)| *place = *byte);
        if with_magic {
            hello[..MAGIC.len()].copy_from_slice(&MAGIC);
        }
        if let Ok((answering, _)) = Answerer::new(&party(0), hello, [0; 32]) {
            prop_assert_eq!(answering.hear(bytes).map(|_| ()), Err(Strange::Unproven));
        }
    }
}
