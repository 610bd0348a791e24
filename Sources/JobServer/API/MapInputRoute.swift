import HTTPServer
import JSON
import JobCore

/// `POST /v1/maps` with one item a line, taken while it arrives.
extension Server {
  /// Most chunks that may be out in any case.
  private static let bufferSizeMax = 1_000_000

  /// The stream that takes the body of a request, if it has one item a line.
  func mapStream(_ request: HTTPRequest) -> RequestStream? {
    guard MediaType.isLines(request) else { return nil }
    do throws(Problem) {
      return try openInput(request).stream
    } catch {
      let stream = RequestStream()
      stream.refuse(with: JobAnswers.problem(error))
      return stream
    }
  }

  private func openInput(_ request: HTTPRequest) throws(Problem) -> MapInput {
    try MediaType.requireUnpacked(request)
    try requireQuery(request, MapQuery.names + ["wait"], repeatable: "tags")
    let wish = try waitWish(request)
    let key = try IdempotencyKey.read(request.header("idempotency-key"))
    let submission = try MapQuery.submission(request.query, idempotencyKey: key)
    var presentation = Presentation()
    presentation.isAcceptance = true
    presentation.preferenceApplied = wish.applied
    presentation.isWaited = wish.granted != nil
    let input = MapInput(
      chunkSize: submission.chunkSize, bufferSize: try bufferSize(request),
      lineBytesMax: settings.bodyBytesMax, wait: wish.milliseconds, presentation: presentation)
    follow(input)
    // The engine answers by an id of a request; what it refuses is the answer to the body.
    let response = PendingResponse { [unowned self, unowned input] response in
      guard let response else { return }
      input.isOver = true
      mapInputs.mark(input)
      if let client = input.response {
        client.resume(with: response)
      } else {
        input.stream.refuse(with: response)
      }
    }
    var pending = Request(response: response, presentation: presentation)
    pending.input = input
    mapInputs.add(input)
    ask(pending) { .mapReceived(submission, request: $0) }
    return input
  }

  private func follow(_ input: MapInput) {
    input.stream.onPiece = { [unowned self, unowned input] bytes in
      input.take(bytes, at: now.instant)
      mapInputs.mark(input)
    }
    input.stream.onBroken = { [unowned self, unowned input] in
      input.end(InputError(.brokenOff, "the client left before the end of its items"))
      mapInputs.mark(input)
    }
    input.stream.onEnd = { [unowned self, unowned input] later in
      input.response = later()
      input.end()
      mapInputs.mark(input)
      return .later
    }
  }

  private func bufferSize(_ request: HTTPRequest) throws(Problem) -> Int {
    let workers = pools.map(\.processes).max() ?? 1
    guard let text = request.query.first("buffersize") else { return 4 * workers + 16 }
    guard let size = Int(digits: text), (1...Server.bufferSizeMax).contains(size) else {
      throw Problem.invalid(
        "?buffersize= is a number from 1 to \(Server.bufferSizeMax); it was '\(text)'")
    }
    return size
  }

  // MARK: Once a turn

  /// When items that wait for others, or for room, are handed on, in monotonic nanoseconds.
  var mapInputDeadline: UInt64? {
    guard !mapInputs.isEmpty else { return nil }
    if mapInputs.hasNews || mapInputs.areSomeWaiting && engine.hasRoomForItems {
      return now.instant.nanoseconds
    }
    return mapInputs.nextFlush
  }

  /// The map of a client's items is there.
  func opened(_ input: MapInput, _ number: MapNumber) {
    input.open(
      number, argumentBytesMax: engine.argumentBytesMax(ofMap: number), at: now.instant)
    mapInputs.open(input, number)
    input.attendance = attendance(of: number)
    inputChanged(of: number)
  }

  /// Something has become of a map: its items may have room, or it takes none any more.
  func inputChanged(of number: MapNumber) {
    guard let input = mapInputs[number] else { return }
    if engine.store.map(number)?.stage != .taking {
      mapInputs.markEnded(input)
    } else if input.isBlocked {
      mapInputs.mark(input)
    }
  }

  /// Hands on the items that came, as far as there is room, and holds back who sends more.
  func handleMapInputs() {
    guard !mapInputs.isEmpty else { return }
    if isDraining || phase == .closing { mapInputs.markAll() }
    for input in mapInputs.takeDue(at: now.instant.nanoseconds) { handle(input) }
    while engine.hasRoomForItems, let input = mapInputs.popWaiting() { handle(input) }
  }

  private func handle(_ input: MapInput) {
    handOn(input)
    mapInputs.settle(input)
  }

  private func handOn(_ input: MapInput) {
    guard !input.isOver, let number = input.map else { return }
    guard let map = engine.store.map(number), map.stage == .taking else { return }
    if isDraining || phase == .closing {
      input.end(InputError(.interrupted, "the service ended while items came"))
    }
    if let due = input.flushAt, due <= now.instant { input.close() }
    input.isBlocked =
      input.error == nil && !engine.mayTakeItems(number, bufferSize: input.bufferSize)
    guard !input.isBlocked else {
      // Of a client that is gone, the kernel's probes tell (`Listener`): that it has left may stand
      // behind what it has sent.
      if !input.ready.isEmpty { input.stream.hold() }
      if !engine.hasRoomForItems { mapInputs.wait(input) }
      return
    }
    let chunks = input.takeReady()
    if !chunks.isEmpty { decide(.itemsReceived(number, chunks)) }
    if let error = input.error { return end(input, number, error) }
    if let response = input.response { return end(input, number, response) }
    input.stream.resume()
  }

  /// All items came.
  private func end(_ input: MapInput, _ number: MapNumber, _ response: PendingResponse) {
    var pending = Request(response: response, presentation: input.presentation)
    pending.wait = input.wait
    input.isOver = true
    decide(.inputEnded(number, nil, request: requests.add(pending)))
  }

  /// Not all items came, or not all are good; those that did run.
  private func end(_ input: MapInput, _ number: MapNumber, _ error: InputError) {
    decide(.inputEnded(number, error, request: nil))
    switch error.code {
    case .interrupted: answer(input, JobAnswers.problem(of: .draining))
    case .invalidItem:
      let id = engine.store.map(number).map(\.id)
      let what = id.map { "; the items before it are those of map \($0)" } ?? ""
      answer(input, .invalid(error.message + what, at: ""))
    case .brokenOff, .cancelled, .poolTerminated: input.isOver = true
    }
  }

  /// Answers whose map takes no more items: it was cancelled, or it is not there any more. To be
  /// called while the turn holds no records: that the map has ended must be durable. Of one that
  /// is not a later effect tells.
  func answerEndedInputs() {
    guard mapInputs.hasNews else { return }
    for input in mapInputs.takeEnded() where !input.isOver {
      guard let number = input.map else { continue }
      if let map = engine.store.map(number) {
        guard map.stage != .taking else { continue }
        if isDurable(number) {
          answer(input, MapAnswers.handle(of: map, in: engine, input.presentation))
        } else if !engine.isWritable {
          answer(input, JobAnswers.readOnly)
        }
      } else {
        answer(input, JobAnswers.readOnly)
      }
      mapInputs.settle(input)
    }
  }

  private func answer(_ input: MapInput, _ problem: Problem) {
    answer(input, JobAnswers.problem(problem))
  }

  private func answer(_ input: MapInput, _ answer: HTTPResponse) {
    input.isOver = true
    if let response = input.response {
      response.resume(with: answer)
    } else {
      input.stream.refuse(with: answer)
    }
  }
}
