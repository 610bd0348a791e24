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
      case answer(PendingResponse, HTTPResponse)
    }

    let sequence: UInt64
    let deed: Deed
    /// The jobs and maps that the records are about, for whose sake it waits.
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

  /// Whether all that memory knows of a job is durable; of a map, also of its chunks.
  func isDurable(_ number: JobNumber) -> Bool {
    undurable.isEmpty || undurable[number] == nil
  }

  /// Keeps the effects of the turn until its records are durable. While the journal takes nothing
  /// clients are not kept waiting for that: who asked for a change is refused, and a submission
  /// that the engine had taken already is taken back.
  func holdBack() throws(StorageError) {
    let sequence = assignedSequence
    let jobs = subjects(of: turn.records)
    for job in jobs { undurable[job] = sequence }
    var effects = turn.effects
    turn.reset()
    var withdrawn: Set<JobNumber> = []
    if !engine.isWritable {
      effects = answerAtOnce(effects, &withdrawn)
      withdrawn.formUnion(engine.unansweredMaps)
      mapInputs.markAllEnded()
    }
    heldBack.append(HeldBack(sequence: sequence, deed: .effects(effects), jobs: jobs))
    guard !withdrawn.isEmpty else { return }
    for number in withdrawn.sorted() {
      if let map = engine.store.map(number) {
        metrics.noteWithdrawal(of: map, engine.store)
      } else if let job = engine.store.brief(of: number) {
        metrics.noteWithdrawal(job, engine.store)
      }
      decide(.submissionWithdrawn(number))
    }
    try commit()
  }

  /// The jobs and maps that records are about. What is told of a map follows from the records of
  /// its chunks, so those are about it, too. A chunk that is not there any more was released, which
  /// changes nothing that is told before a later record, or went with its map.
  private func subjects(of records: [Record]) -> [JobNumber] {
    var subjects = records.map(\.job)
    guard reading({ $0.store.mapCount }) > 0 else { return subjects }
    var last: MapNumber?
    for record in records {
      guard let chunk = engine.store[record.job]?.options?.chunk, chunk.map != last else {
        continue
      }
      subjects.append(chunk.map)
      last = chunk.map
    }
    return subjects
  }

  /// Performs what was held back and is durable now. After a commit, as it may tell what memory
  /// says: that must all have its number.
  func release() {
    while let first = heldBack.first, first.sequence <= speakableSequence {
      heldBack.removeFirst()
      for job in first.jobs where undurable[job] == first.sequence { undurable[job] = nil }
      switch first.deed {
      case .effects(let effects): for effect in effects { perform(effect) }
      case .answer(let client, let response): client.resume(with: response)
      }
    }
  }

  /// Answers with what memory says now of one job, or (`nil`) of any: at once if all of it is
  /// durable, otherwise when it is. While the journal takes nothing, what it does not hold is not
  /// shown. To be called while the turn holds no records: they would have no number yet.
  func speak(
    _ response: HTTPResponse, of number: JobNumber?, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    if undurable.isEmpty || number.map(isDurable) ?? false { return .now(response) }
    guard engine.isWritable else {
      response.discard()
      throw JobAnswers.readOnly
    }
    hold(response, for: later())
    return .later
  }

  /// Refuses a request. That a job was dropped is told, as everything, once it is durable.
  func refuse(_ problem: Problem, _ later: () -> PendingResponse) -> HTTPAnswer {
    let response = JobAnswers.problem(problem)
    guard problem.code == .gone, !undurable.isEmpty else { return .now(response) }
    guard engine.isWritable else { return .now(JobAnswers.problem(JobAnswers.readOnly)) }
    hold(response, for: later())
    return .later
  }

  /// Answers a client that waits already, with what memory says now of a job.
  func tell(
    _ response: consuming HTTPResponse, of number: JobNumber, to client: PendingResponse
  ) {
    if isDurable(number) {
      client.resume(with: consume response)
    } else if engine.isWritable {
      hold(response, for: client)
    } else {
      response.discard()
      client.resume(with: JobAnswers.problem(JobAnswers.readOnly))
    }
  }

  /// Answers a client that waits already, with what memory says now of any number of jobs.
  func tell(_ response: HTTPResponse, to client: PendingResponse) {
    if undurable.isEmpty {
      client.resume(with: response)
    } else if engine.isWritable {
      hold(response, for: client)
    } else {
      response.discard()
      client.resume(with: JobAnswers.problem(JobAnswers.readOnly))
    }
  }

  /// Answers a read with what memory says of a group, as `speak(_:of:_:)` does.
  func speak(
    _ group: JobGroup, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    if isDurable(group) { return .now(group.response(in: engine)) }
    guard engine.isWritable else { throw JobAnswers.readOnly }
    hold(group.response(in: engine), for: later())
    return .later
  }

  /// Answers a client that waits already, with what memory says of a group. Who submitted it must
  /// hear what was accepted: while nothing later may be told, such a job is shown as it was then.
  func tell(_ group: JobGroup, to client: PendingResponse) {
    if isDurable(group) {
      client.resume(with: group.response(in: engine))
    } else if engine.isWritable {
      hold(group.response(in: engine), for: client)
    } else if group.isAcceptance {
      client.resume(
        with: group.response(in: engine) { isDurable($0.number) ? $0 : $0.asAccepted })
    } else {
      client.resume(with: JobAnswers.problem(JobAnswers.readOnly))
    }
  }

  /// Whether all that an answer about a group shows is durable. That a job was dropped is not known
  /// to be, as in `refuse(_:_:)`.
  private func isDurable(_ group: JobGroup) -> Bool {
    undurable.isEmpty
      || group.items.allSatisfy { item in
        switch item {
        case .job(let number, _, _):
          isDurable(number) && engine.store.brief(of: number) != nil
        case .problem(let problem, _): problem.code != .gone
        case .undecided: false
        }
      }
  }

  /// Keeps an answer until all that memory knew when it was made is durable.
  private func hold(_ response: HTTPResponse, for client: PendingResponse) {
    heldBack.append(HeldBack(sequence: assignedSequence, deed: .answer(client, response)))
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
        if case .opened(let number) = answer { withdrawn.insert(number) }
        perform(isSayable(answer) ? effect : .answer(request, .refused(.readOnly)))
      case .dispatch(_, let number) where withdrawn.contains(number): break
      case .jobChanged(let number) where withdrawn.contains(number): break
      case .jobEnded(let number) where withdrawn.contains(number): break
      case .dispatch, .endCall, .jobChanged, .jobEnded, .finishDrain, .startPool, .resizePool,
        .closePool, .terminatePool, .dropPool, .poolChanged, .poolJoined:
        kept.append(effect)
      }
    }
    return kept
  }

  /// Whether an answer tells nothing but what the journal holds.
  private func isSayable(_ answer: Answer) -> Bool {
    switch answer {
    case .accepted(let number, _), .cancelled(let number), .opened(let number),
      .taken(let number):
      isDurable(number)
    // A pool whose record waits is there all the same: the next try of its client finds it.
    case .pool, .poolCreated: undurable.isEmpty
    case .forgotten: false
    case .refused(.idempotencyMismatch), .refused(.notCancellable), .refused(.notFinal),
      .refused(.unknownJob):
      undurable.isEmpty
    case .refused: true
    }
  }
}
