//! Faults that are put in on purpose: each breaks one rule of the protocol where the simulator holds its parts together, and must be found.

/// A rule that is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What was read goes to the table before the journal covers it.
    PublishesUnjournaled,
    /// Everything is published from the start on.
    HasNoGate,
    /// The gate looks at the first partition only.
    GateOfOnePartition,
    /// The journal goes with the run that has written it.
    PrunesTheJournal,
    /// Reading goes on where the journal has come to, not where the checkpoint has.
    ReadsOnFromTheJournal,
    /// A checkpoint is cut when the epoch behind it has been applied.
    CutsOneEpochLate,
    /// A checkpoint that has failed is told to be there.
    LostIsDurable,
    /// The table answers when it is given something, and not when it has it.
    AcknowledgesWhenTaken,
    /// What a checkpoint has marked is not marked any more after a start.
    DropsMarks,
    /// The table says "not written" of what may still arrive.
    AnswersTooEarly,
    /// A run that has started does not say so.
    SkipsTheClaim,
    /// Letters that stand in the file already are not known.
    ForgetsLetters,
    /// The file's end is the mark of a checkpoint, though letters before it have not come again yet.
    MarksLettersTooLate,
    /// A checkpoint does not wait for the letters of its epochs.
    DoesNotWaitForLetters,
    /// What is deleted is not looked up in all checkpoints that are kept.
    DeletesTooMuch,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 15] = [
        Fault::PublishesUnjournaled,
        Fault::HasNoGate,
        Fault::GateOfOnePartition,
        Fault::PrunesTheJournal,
        Fault::ReadsOnFromTheJournal,
        Fault::CutsOneEpochLate,
        Fault::LostIsDurable,
        Fault::AcknowledgesWhenTaken,
        Fault::DropsMarks,
        Fault::AnswersTooEarly,
        Fault::SkipsTheClaim,
        Fault::ForgetsLetters,
        Fault::MarksLettersTooLate,
        Fault::DoesNotWaitForLetters,
        Fault::DeletesTooMuch,
    ];
}
