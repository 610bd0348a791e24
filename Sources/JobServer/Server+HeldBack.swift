import DequeModule
import HTTPServer
import JobCore
import JobStorage

/// What cannot be said yet, because the journal does not hold it, or with `--sync always` the disk.
///
/// No answer shows more of a job than is durable, also not by way of another job's answer or of a
/// wait that is over: `undurable` knows the jobs of whom memory is ahead.
extension Server {
  /// Something that waits until the journal is durable up to a record.
  struct HeldBack {
    enum Deed {
      case effects([Effect])
      case read(PendingResponse, (Server) -> HTTPResponse)
    }

    let sequence: UInt64
    let deed: Deed
    /// The jobs that the records are about, for whose sake it waits.
    var jobs: [JobNumber] = []
  }

  /// The newest record that the engine has decided.
  var assignedSequence: UInt64 {
    storage.appendedSequence + UInt64(storage.pendingCount)
  }

  /// The newest record that may be spoken of: with `--sync always` one that is on the disk.
  var speakableSequence: UInt64 {
    settings.sync == .always ? storage.syncedSequence : storage.appendedSequence
  }

  /// Whether all that memory knows of a job is durable.
  func isDurable(_ number: JobNumber) -> Bool {
    undurable.isEmpty || undurable[number] == nil
  }

  /// Keeps the effects of the turn until its records are durable. While the journal takes nothing
  /// clients are not kept waiting for that: who asked for a change is refused, and a submission
  /// that the engine had taken already is taken back.
  func holdBack() throws(StorageError) {
    let sequence = assignedSequence
    let jobs = turn.records.map(\.job)
    for job in jobs { undurable[job] = sequence }
    var effects = turn.effects
    turn.reset()
    var withdrawn: Set<JobNumber> = []
    if !engine.isWritable { effects = answerAtOnce(effects, &withdrawn) }
    heldBack.append(HeldBack(sequence: sequence, deed: .effects(effects), jobs: jobs))
    guard !withdrawn.isEmpty else { return }
    for number in withdrawn.sorted() { decide(.submissionWithdrawn(number)) }
    try commit()
  }

  /// Performs what was held back and is durable now.
  func release() {
    while let first = heldBack.first, first.sequence <= speakableSequence {
      heldBack.removeFirst()
      for job in first.jobs where undurable[job] == first.sequence { undurable[job] = nil }
      switch first.deed {
      case .effects(let effects): for effect in effects { perform(effect) }
      case .read(let response, let render): response.resume(with: render(self))
      }
    }
  }

  /// Answers a read of one job, or (`nil`) of any: at once if everything that it may show is
  /// durable, otherwise when it is. While the journal takes nothing, what it does not hold is not
  /// shown.
  func speak(
    of number: JobNumber?, _ later: () -> PendingResponse,
    _ render: @escaping (Server) -> HTTPResponse
  ) throws(Problem) -> HTTPAnswer {
    if heldBack.isEmpty || number.map(isDurable) ?? undurable.isEmpty { return .now(render(self)) }
    guard engine.isWritable else { throw JobAnswers.readOnly }
    heldBack.append(HeldBack(sequence: assignedSequence, deed: .read(later(), render)))
    return .later
  }

  /// Answers a client that waits already, about a job that is not durable.
  func tellLater(
    _ response: PendingResponse, of number: JobNumber,
    _ render: @escaping (Server) -> HTTPResponse
  ) {
    if engine.isWritable {
      heldBack.append(HeldBack(sequence: assignedSequence, deed: .read(response, render)))
    } else {
      response.resume(with: JobAnswers.problem(JobAnswers.readOnly))
    }
  }

  // MARK: While the journal takes nothing

  /// Gives the answers among the effects and keeps the rest. Names the submissions that nobody was
  /// told of; what was to be done for them is dropped.
  private func answerAtOnce(
    _ effects: [Effect], _ withdrawn: inout Set<JobNumber>
  ) -> [Effect] {
    var kept: [Effect] = []
    for effect in effects {
      switch effect {
      case .answer(let request, let answer):
        if case .accepted(let number, isReplay: false) = answer { withdrawn.insert(number) }
        perform(isSayable(answer) ? effect : .answer(request, .refused(.readOnly)))
      case .dispatch(_, let number) where withdrawn.contains(number): break
      case .jobChanged(let number) where withdrawn.contains(number): break
      case .dispatch, .endCall, .jobChanged, .finishDrain: kept.append(effect)
      }
    }
    return kept
  }

  /// Whether an answer tells nothing but what the journal holds.
  private func isSayable(_ answer: Answer) -> Bool {
    switch answer {
    case .accepted(let number, _), .cancelled(let number): isDurable(number)
    case .forgotten: false
    case .refused(.idempotencyMismatch), .refused(.notCancellable), .refused(.notFinal):
      undurable.isEmpty
    case .refused: true
    }
  }
}
