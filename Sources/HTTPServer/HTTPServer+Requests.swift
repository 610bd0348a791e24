import CMicroHTTPD
import Glibc

/// What libmicrohttpd tells, in the order in which it tells it. The first call for a request only
/// judges it: an answer queued there closes the connection, so that only what makes the framing
/// doubtful is refused there. The answer is queued in the last call.
extension HTTPServer {
  /// A body beyond this is not waited for when the request is refused anyway.
  private static let refusedBodyBytesMax = 64 << 10
  /// Room that is made for a body when its first piece comes.
  private static let bodyReserveMax = 256 << 10

  /// A connection was accepted.
  func opened(_ handle: OpaquePointer) -> Connection {
    let descriptor = mhd_connection_fd(handle)
    guard let daemon = accepting else { preconditionFailure("a connection that nobody accepted") }
    daemon.connectionCount += 1
    connectionCount += 1
    let connection = Connection(
      server: self, daemon: daemon, handle: handle, descriptor: descriptor)
    let missing = Int(descriptor) + 1 - connections.count
    if missing > 0 { connections.append(contentsOf: repeatElement(nil, count: missing)) }
    connections[Int(descriptor)] = connection
    lanes.enter(.headerLook, descriptor, at: now)
    return connection
  }

  /// A connection is about to be closed; its descriptor is still its own.
  func closed(_ connection: Connection) {
    if connection.isWatched { unwatch(connection) }
    lanes.leave(connection.descriptor)
    connections[Int(connection.descriptor)] = nil
    connection.isClosed = true
    connection.daemon.connectionCount -= 1
    connectionCount -= 1
    noteRoom()
    if let pending = connection.pending { lose(connection, pending) }
    connection.intake?.close()
  }

  /// The request line was read; `target` is valid during this call only.
  func began(_ connection: Connection, target: UnsafePointer<UInt8>?) {
    activity &+= 1
    requestsBegun &+= 1
    connection.begin(at: now)
    lanes.enter(.headerLook, connection.descriptor, at: now)
    guard let target else {
      connection.destination = .invalid
      return
    }
    connection.target = UnsafeBufferPointer(start: target, count: strlen(target.asCString))
    connection.destination = Destination.read(target, in: router, into: &connection.request)
  }

  /// Headers, a piece of the body, the end of it, or, when the answer is owed, the same once more.
  func advanced(
    _ connection: Connection, method: UnsafePointer<CChar>, version: UnsafePointer<CChar>,
    bytes: UnsafeRawBufferPointer, _ unread: inout Int
  ) -> MHD_Result {
    // To ask for what is owed leads to nothing.
    if connection.stage != .owed { activity &+= 1 }
    switch connection.stage {
    case .headers:
      let lines = RequestLines(method: method, target: connection.target, version: version)
      return judge(connection, HTTPMethod(cString: method), lines)
    case .body where bytes.baseAddress == nil:
      return act(connection)
    case .body where connection.intake != nil:
      return takePiece(bytes, of: connection, &unread)
    case .body:
      unread = 0
      return take(bytes, for: connection)
    case .settled:
      return sendSettled(connection) ? .YES : .NO
    case .owed:
      ask(connection)
      return .YES
    case .answered:
      return .YES
    case .idle, .acting, .lost:
      return .NO
    }
  }

  /// The request is over, one way or the other.
  func completed(_ connection: Connection, isDelivered: Bool) {
    activity &+= 1
    if let pending = connection.pending { lose(connection, pending) }
    if let observe, connection.status != 0 {
      observe(
        HTTPObservation(
          route: connection.route >= 0 ? router.routes[connection.route].name : nil,
          routeIndex: connection.route, method: connection.method, status: connection.status,
          nanoseconds: now - connection.beganAt, isDelivered: isDelivered,
          requestID: connection.requestID))
    }
    if connection.stream != nil { streamCount -= 1 }
    connection.finish()
    lanes.enter(.idle, connection.descriptor, at: now)
  }

  /// The headers are complete.
  private func judge(
    _ connection: Connection, _ method: HTTPMethod?, _ lines: RequestLines
  ) -> MHD_Result {
    connection.stage = .body
    connection.method = method
    connection.isVersion10 = lines.isVersion10
    var scan = HeaderScan(table: fieldTable, lines: lines)
    swap(&scan.fields, &connection.request.fields)
    scan.read(connection.handle, &headerMemory)
    swap(&scan.fields, &connection.request.fields)
    connection.requestID = scan.requestID
    if let refusal = scan.refusal { return refuse(connection, refusal) }
    if mhd_header_size(connection.handle) > settings.headerBytesMax {
      return refuse(connection, .headersTooLarge(bytesMax: settings.headerBytesMax))
    }
    if let refusal = find(connection, method) { connection.refusal = refusal }
    if let denial = deny(connection, scan) {
      // Before anything else is told, the limit of the body included; and of a stranger's body no
      // more is read than a client is likely to have sent already.
      connection.refusal = .denied(denial)
      if scan.hasBody(over: Self.refusedBodyBytesMax) { return refuse(connection, .denied(denial)) }
    }
    if connection.route >= 0, let stream = router.routes[connection.route].stream,
      let refusal = openIntake(of: connection, stream, scan)
    {
      return send(connection, refusal) ? .YES : .NO
    }
    if connection.intake == nil, scan.contentLength > settings.bodyBytesMax {
      return refuse(connection, .bodyTooLarge(bytesMax: settings.bodyBytesMax))
    }
    if let refusal = connection.refusal, scan.contentLength > Self.refusedBodyBytesMax {
      return refuse(connection, refusal)
    }
    if scan.hasBody, connection.intake?.isHeld != true {
      connection.bodyCountStated = scan.contentLength
      lanes.enter(.bodyLook, connection.descriptor, at: now)
    }
    return .YES
  }

  /// Asks the owner whether the request is let in.
  private func deny(_ connection: Connection, _ scan: borrowing HeaderScan) -> HTTPDenial? {
    guard let admit else { return nil }
    return admit(
      HTTPArrival(
        method: connection.method,
        route: connection.route >= 0 ? router.routes[connection.route].name : nil,
        authorization: scan.authorization, fields: connection.request.fields))
  }

  /// Finds the route. What it refuses can be answered in the last call: the framing is sound.
  private func find(_ connection: Connection, _ method: HTTPMethod?) -> HTTPRefusal? {
    guard let method else { return .methodUnknown }
    connection.request.method = method
    switch connection.destination {
    case .invalid: return .targetInvalid
    case .nowhere: return .notFound
    case .everything: return method == .options ? nil : .targetInvalid
    case .resource(let index):
      let route = router.resources[index].routeBySlot[method.slot]
      if route >= 0 {
        connection.route = route
        connection.request.parameterNames = router.resources[index].parameterNames
        return nil
      }
      if method == .options { return nil }
      let resource = router.resources[index]
      return .methodNotAllowed(allow: resource.allow, template: resource.template)
    }
  }

  /// Asks the route who takes the body in pieces, if somebody does. Answers a refusal that is to be
  /// sent at once, for the sake of a body that is long, or of no stated length.
  private func openIntake(
    of connection: Connection, _ makeStream: (HTTPRequest) -> RequestStream?,
    _ scan: borrowing HeaderScan
  ) -> HTTPResponse? {
    guard connection.refusal == nil, !isStopping, let stream = makeStream(connection.request)
    else { return nil }
    if let refusal = stream.refusal, scan.hasBody(over: Self.refusedBodyBytesMax) {
      return refusal
    }
    connection.intake = stream
    stream.attach(to: connection)
    return nil
  }

  /// A piece of a body that is taken while it arrives; while it is held back, it stays with
  /// libmicrohttpd.
  private func takePiece(
    _ bytes: UnsafeRawBufferPointer, of connection: Connection, _ unread: inout Int
  ) -> MHD_Result {
    guard let intake = connection.intake, !isStopping else { return .NO }
    if intake.isHeld, !connection.hasPeerClosed {
      suspend(connection)
      return .YES
    }
    unread = 0
    guard intake.take(bytes, refusedMax: settings.bodyBytesMax) else { return .NO }
    // A client may be slow, but not silent; what is held back is nobody's fault.
    if !intake.isHeld { lanes.enter(.bodyLook, connection.descriptor, at: now) }
    return .YES
  }

  /// Makes room for what the client said that it will send, but not before it has sent some of it:
  /// thousands who only say so get no more than `bodyReserveMax` each.
  private func reserve(_ count: Int, for connection: Connection) {
    guard count > connection.request.body.capacity else { return }
    let stated = connection.bodyCountStated
    let wanted = connection.request.body.isEmpty ? min(stated, Self.bodyReserveMax) : stated
    // One of unknown length grows as arrays do.
    if wanted > count { connection.request.body.reserveCapacity(wanted) }
  }

  /// A piece of the body. Of one that is too long, twice the limit is read, so that the client is
  /// likely to see the 413; then the connection is cut.
  private func take(_ bytes: UnsafeRawBufferPointer, for connection: Connection) -> MHD_Result {
    let count = connection.bodyCount + bytes.count
    connection.bodyCount = count
    if count > settings.bodyBytesMax {
      guard count <= settings.bodyBytesMax * 2 else { return .NO }
      connection.request.body = []
      if connection.refusal == nil {
        connection.refusal = .bodyTooLarge(bytesMax: settings.bodyBytesMax)
      }
      return .YES
    }
    guard connection.refusal == nil else { return .YES }
    reserve(count, for: connection)
    connection.request.body.append(contentsOf: bytes)
    return .YES
  }

  /// The request is complete.
  private func act(_ connection: Connection) -> MHD_Result {
    lanes.leave(connection.descriptor)
    if let refusal = connection.refusal { return refuse(connection, refusal) }
    if isStopping { return refuse(connection, .draining) }
    guard connection.route >= 0 else { return sendOptions(connection) }

    connection.stage = .acting
    // Each closure stands where it is given, or it would be made on the heap for every request.
    let answer =
      if let intake = connection.intake {
        intake.finish { owe(connection) }
      } else {
        router.routes[connection.route].action(&connection.request) { owe(connection) }
      }
    connection.intake = nil
    switch answer {
    case .now(let response):
      if let pending = connection.pending {
        pending.end()
        forget(connection)
      }
      return send(connection, response) ? .YES : .NO
    case .later:
      if connection.response != nil { return sendSettled(connection) ? .YES : .NO }
      precondition(connection.pending != nil, "an action answers later without a pending response")
      connection.stage = .owed
      connection.owedAt = now
      // Whoever waits needs an answer, and not to be remembered what for.
      connection.request.reset()
      return .YES
    }
  }
}

/// Answers.
extension HTTPServer {
  /// What the owner of a request that is being acted on answers it with later.
  private func owe(_ connection: Connection) -> PendingResponse {
    precondition(connection.pending == nil, "an action takes one pending response")
    let pending = PendingResponse(connection: connection)
    connection.pending = pending
    pendingCount += 1
    return pending
  }

  /// The owner resumed, or the server answers in its place.
  func settle(_ connection: Connection, with response: consuming HTTPResponse) {
    forget(connection)
    connection.response = consume response
    guard connection.stage != .acting else { return }
    connection.stage = .settled
    settled.append(connection)
  }

  /// The owner let go of what it owed.
  func settleLost(_ connection: Connection) {
    settle(connection, with: problem(.answerLost))
  }

  /// The connection broke while its answer was owed.
  func lose(_ connection: Connection, _ pending: PendingResponse) {
    forget(connection)
    pending.lose()
  }

  /// Sends what `settle` stored. `false` when the connection must be closed.
  func sendSettled(_ connection: Connection) -> Bool {
    guard let response = connection.response.take() else { return false }
    return send(connection, response)
  }

  private func forget(_ connection: Connection) {
    connection.pending = nil
    pendingCount -= 1
  }

  /// An id for an answer that somebody may ask about; empty where none is to be made. To one that
  /// went well none is given: making and sending it costs every request, and who wants to find an
  /// answer again can send an id of its own.
  private func nextRequestID() -> [UInt8] {
    guard !settings.requestIDPrefix.isEmpty else { return [] }
    requestIDsMade += 1
    var id: [UInt8] = []
    id.reserveCapacity(32)
    id += settings.requestIDPrefix.utf8
    id += String(requestIDsMade).utf8
    return id
  }

  private func refuse(_ connection: Connection, _ refusal: HTTPRefusal) -> MHD_Result {
    var allow: String?
    if case .methodNotAllowed(let methods, _) = refusal { allow = HTTPMethod.list(methods) }
    return send(connection, problem(refusal), allow: allow) ? .YES : .NO
  }

  private func sendOptions(_ connection: Connection) -> MHD_Result {
    var methods = HTTPMethod.allCases.filter(\.isRouted)
    if case .resource(let index) = connection.destination {
      methods = router.resources[index].allow
    }
    return send(connection, .empty(), allow: HTTPMethod.list(methods)) ? .YES : .NO
  }

  private func send(
    _ connection: Connection, _ response: HTTPResponse, allow: String? = nil
  ) -> Bool {
    beginWriting(connection)
    connection.stage = .answered
    connection.status = response.status
    if response.status >= 400, connection.requestID.isEmpty {
      connection.requestID = nextRequestID()
    }
    let isQueued = ResponseQueue.put(response, on: connection, allow: allow, isLast: isQuiesced)
    if connection.stream != nil { streamCount += 1 }
    return isQueued
  }
}
