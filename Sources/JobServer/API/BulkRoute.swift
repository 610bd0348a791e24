import DequeModule
import HTTPServer
import JobCore
import Logging

/// `POST /v1/jobs` with many submissions: a JSON array, or one a line.
///
/// Each request is decided in one turn, one request a turn: its records are one write, and clients
/// with small wishes come between two of them.
extension Server {
  /// A request whose submissions wait to be decided.
  struct BulkRequest {
    let body: [UInt8]
    /// Where the submissions stand in the body; one at least.
    let places: [Range<Int>]
    let answer: BulkAnswer
    /// What its submissions ask for; empty if the service was ready when it came.
    let wishes: Set<WantedPool>
  }

  /// An answer that comes together from many.
  struct BulkAnswer {
    let response: PendingResponse
    let group: JobGroup
    /// How long the client waits for the end of all its jobs, in milliseconds.
    let wait: JobCore.Milliseconds
    /// The turn in which the request was read.
    let beganAt: Instant
  }

  /// Takes a body with many submissions. A body that is not what it says is refused at once.
  func submitMany(
    _ request: inout HTTPRequest, asLines: Bool, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    guard request.header("idempotency-key") == nil else {
      throw Problem.invalid(
        "Idempotency-Key names one submission; here, give each its own member id instead")
    }
    let wish = try waitWish(request)
    let places =
      asLines
      ? try BulkReader.lines(of: request.body) : try BulkReader.elements(of: request.body)
    let group = JobGroup(submissions: places.count, preferenceApplied: wish.applied)
    guard !places.isEmpty else { return .now(group.response(in: engine)) }
    bulks.append(
      BulkRequest(
        body: request.body, places: places,
        answer: BulkAnswer(
          response: later(), group: group, wait: wish.milliseconds,
          beganAt: now.instant),
        wishes: isHoldingEarly ? wishes(of: request.body, places) : []))
    return .later
  }

  /// What submissions ask for that can be read; the others wait for nothing.
  private func wishes(of body: [UInt8], _ places: [Range<Int>]) -> Set<WantedPool> {
    body.withUnsafeBufferPointer { body in
      var wishes: Set<WantedPool> = []
      for place in places {
        let submission = try? SubmissionReader.read(
          UnsafeBufferPointer(rebasing: body[place]), idempotencyKey: nil,
          calling: "the submission")
        if let submission {
          wishes.insert(WantedPool(pool: submission.pool, task: submission.task))
        }
      }
      return wishes
    }
  }

  /// Whether a request with many submissions can be decided now.
  var hasBulkWork: Bool {
    !bulks.isEmpty && (!isHoldingEarly || bulks.contains { !waitsForPools($0) })
  }

  /// Whether one of them waits for pools to tell their tasks: all are answered together.
  private func waitsForPools(_ bulk: BulkRequest) -> Bool {
    isHoldingEarly && bulk.wishes.contains { waitsForPools($0) }
  }

  /// Lets the engine decide the submissions of one request.
  func handleBulk() {
    guard let place = bulks.firstIndex(where: { !waitsForPools($0) }) else { return }
    let bulk = bulks.remove(at: place)
    let first = requests.add(bulk.answer)
    let group = bulk.answer.group
    bulk.body.withUnsafeBufferPointer { body in
      for (index, place) in bulk.places.enumerated() {
        do throws(Problem) {
          let submission = try SubmissionReader.read(
            UnsafeBufferPointer(rebasing: body[place]), idempotencyKey: nil,
            calling: "the submission")
          try checkArguments(of: submission)
          let request = RequestTable.item(index, of: first)
          decide(.submissionReceived(submission, request: request))
        } catch {
          group.decide(index, .problem(error, nil))
        }
      }
    }
    // Otherwise the engine's last answer ends it, after the commit.
    if group.undecidedCount == 0 { finish(bulk.answer, first) }
  }

  /// Takes the engine's answer to one submission of many.
  func perform(_ answer: Answer, toItem id: RequestID) {
    guard let bulk = requests.bulk(of: id) else { return }
    let item: JobGroup.Item
    switch answer {
    case .accepted(let number, let isReplay):
      if let job = engine.store[number] {
        item = .job(number, job.id, isReplay: isReplay)
      } else {
        item = .problem(JobGroup.dropped, nil)
      }
    case .refused(let refusal):
      let problem = JobAnswers.problem(of: refusal)
      noteRefusal(problem)
      item = .problem(problem, nil)
    case .cancelled, .forgotten, .opened, .taken, .pool, .poolCreated:
      preconditionFailure("a submission is accepted or refused")
    }
    bulk.group.decide(RequestTable.itemIndex(of: id), item)
    if bulk.group.undecidedCount == 0 { finish(bulk, id) }
  }

  /// Every submission is decided: the client hears of them, or goes on to wait for their ends.
  private func finish(_ bulk: BulkAnswer, _ id: RequestID) {
    requests.removeBulk(of: id)
    if let refusal = bulk.group.refusal {
      bulk.response.resume(with: JobAnswers.problem(refusal))
    } else {
      let goals = bulk.wait > 0 ? goals(of: bulk.group) : []
      if goals.isEmpty {
        tell(bulk.group, to: bulk.response)
      } else {
        wait(
          bulk.response, for: bulk.group, goals, missing: goals.count, milliseconds: bulk.wait)
      }
    }
    log.debug(
      "bulk submission decided",
      metadata: [
        "submissions": .count(bulk.group.items.count), "jobs": .count(bulk.group.numbers.count),
        "seconds": .seconds(from: bulk.beganAt, to: now.instant),
      ])
  }

  /// The end of each job of a group whose end cannot be told yet.
  private func goals(of group: JobGroup) -> [(JobNumber, Waiters.Goal)] {
    group.numbers.compactMap { number in
      let isFinal = engine.store.brief(of: number)?.state.isFinal ?? true
      return isFinal && isDurable(number) ? nil : (number, .final)
    }
  }
}
