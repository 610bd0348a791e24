import HTTPServer
import JSON
import JobCore
import Multiprocessing

/// The pools and their workers: to look at, to make, to change and to end.
extension Server {
  /// The operations on pools.
  static var poolOperations: [Operation] {
    [
      Operation(.get, "/v1/pools", "list_pools") { (server, request, later) throws(Problem) in
        try server.requireQuery(request, [])
        let isJoined = server.engine.poolPlaces.contains { server.subject(ofPool: $0) == nil }
        return try server.speak(
          server.listPools(), of: isJoined ? nil : Server.poolRecords, later)
      },
      Operation(.post, "/v1/pools", "create_pool") { (server, request, later) throws(Problem) in
        try server.createPool(request, later)
      },
      Operation(.get, "/v1/pools/{name}", "get_pool") { (server, request, later) throws(Problem) in
        try server.showPool(request, later)
      },
      Operation(.patch, "/v1/pools/{name}", "change_pool") {
        (server, request, later) throws(Problem) in
        try server.changePool(request, later)
      },
      Operation(.get, "/v1/pools/{name}/workers", "list_workers") {
        (server, request, _) throws(Problem) in
        try server.requireQuery(request, [])
        let pool = try server.poolNamed(in: request)
        server.attend(pool)
        return .now(server.listWorkers(of: server.driver(at: pool)))
      },
      Operation(.post, "/v1/pools/{name}/close", "close_pool") {
        (server, request, later) throws(Problem) in
        try server.endPool(request, later) { .poolCloseReceived($0, request: $1) }
      },
      Operation(.post, "/v1/pools/{name}/terminate", "terminate_pool") {
        (server, request, later) throws(Problem) in
        try server.endPool(request, later) { .poolTerminateReceived($0, request: $1) }
      },
      completionsOperation,
    ]
  }

  // MARK: Writing

  private func createPool(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    if !request.body.isEmpty {
      try MediaType.requireUnpacked(request)
      try MediaType.requireJSON(request)
    }
    let key = try IdempotencyKey.read(request.header("idempotency-key"))
    let specification = try PoolReader.specification(
      of: request.body, idempotencyKey: key, settings, initializers: workerInitializers)
    ask(Request(response: later())) { .poolCreateReceived(specification, request: $0) }
    return .later
  }

  private func changePool(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    try MediaType.requireUnpacked(request)
    try MediaType.requireJSON(request)
    let pool = try poolNamed(in: request)
    let configured =
      engine.specification(ofPool: pool) == nil
      ? settings.pools[pool].processes ?? cpuCount : 0
    let change = try PoolReader.change(
      of: request.body, settings.limits, configured: configured)
    let name = engine.name(ofPool: pool)
    attend(pool)
    ask(Request(response: later())) {
      .poolChangeReceived(
        name, processes: change.processes, isPaused: change.isPaused, request: $0)
    }
    return .later
  }

  private func endPool(
    _ request: HTTPRequest, _ later: () -> PendingResponse,
    _ event: (String, RequestID) -> Event
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    guard request.body.isEmpty || request.body == Array("{}".utf8) else {
      throw Problem.invalid("this request takes no body", at: "")
    }
    let name = engine.name(ofPool: try poolNamed(in: request))
    ask(Request(response: later())) { event(name, $0) }
    return .later
  }

  // MARK: Reading

  private func showPool(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["wait_joined"])
    let pool = try poolNamed(in: request)
    let wait = try joinWait(request)
    if wait == 0 || engine.stage(ofPool: pool) == .joined {
      attend(pool)
      return try speak(poolHandle(at: pool), of: subject(ofPool: pool), later)
    }
    waitJoined(later(), for: engine.id(ofPool: pool), milliseconds: wait)
    return .later
  }

  /// How long the client wants to wait for the end of the pool, in milliseconds.
  private func joinWait(_ request: HTTPRequest) throws(Problem) -> JobCore.Milliseconds {
    guard let text = request.query.first("wait_joined") else { return 0 }
    do throws(Problem) {
      return try WaitWish(prefer: nil, query: text).milliseconds
    } catch {
      throw Problem.invalid(
        "?wait_joined= is a number of seconds, like ?wait_joined=5; it was '\(text)'")
    }
  }

  /// The position of the pool that the path names.
  func poolNamed(in request: HTTPRequest) throws(Problem) -> Int {
    let name = request.parameters[0]
    guard let pool = engine.poolIndex(named: name) else { throw PoolAnswers.noSuchPool(name) }
    return pool
  }

  /// Notes that somebody is interested in a pool, if it is ended for want of that.
  func attend(_ pool: Int) {
    guard engine.specification(ofPool: pool)?.idleTimeout != nil else { return }
    inbox.append(.poolAttended(pool: engine.id(ofPool: pool), isWaiting: false))
  }

  private func listPools() -> HTTPResponse {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.name("pools")
    writer.beginArray()
    for pool in engine.poolPlaces { writePool(at: pool, to: &writer) }
    writer.endArray()
    writer.endObject()
    return .json(writer.bytes)
  }

  /// The handle of a pool.
  func poolHandle(at index: Int) -> HTTPResponse { .json(poolText(at: index)) }

  /// The same as JSON text.
  func poolText(at index: Int) -> [UInt8] {
    var writer = JSONWriter(capacity: 512)
    writePool(at: index, to: &writer)
    return writer.bytes
  }

  private func writePool(at index: Int, to writer: inout JSONWriter) {
    let driver = driver(at: index)
    writer.beginObject()
    writer.member("name", string: engine.name(ofPool: index))
    writer.member("state", string: poolState(at: index))
    if engine.isPaused(pool: index) { writer.member("paused", bool: true) }
    let reason = engine.reason(ofPool: index) ?? (driver == nil ? whyNoWorkers(index) : nil)
    writer.memberIfPresent("reason", string: reason)
    if let specification = engine.specification(ofPool: index) {
      write(specification, to: &writer)
    }
    if let configured = driver?.configured { write(configured, to: &writer) }
    writer.member("processes", integer: engine.processes(ofPool: index))
    if let worker = driver?.configured.worker {
      writer.member("allow_pickle", bool: worker.allowsPickle && settings.allowsPickle)
      writer.member("allow_main", bool: worker.allowsMain)
      writer.member("dynamic", bool: engine.isDynamic(pool: index))
    }
    writer.name("tasks")
    writer.beginArray()
    for task in engine.tasks(pool: index) ?? [] { writer.string(task) }
    writer.endArray()
    writer.member("queued", integer: engine.queuedCount(pool: index))
    writer.member("running", integer: engine.runningCount(pool: index))
    writer.endObject()
  }

  /// What only a created pool has.
  private func write(_ specification: PoolSpecification, to writer: inout JSONWriter) {
    writer.member("template", string: specification.template)
    if let created = engine.store.createdPool(named: specification.name) {
      writer.member("created_at", string: RFC3339.text(of: created.createdAt))
    }
    if let timeout = specification.idleTimeout {
      writer.member("idle_timeout", number: Double(timeout) / 1_000)
    }
    writer.memberIfPresent("initializer", string: specification.initializer)
  }

  private func write(_ pool: Settings.Pool, to writer: inout JSONWriter) {
    writer.member(
      "kind",
      string: pool.runsPrograms ? "programs" : pool.worker == nil ? "workers" : "persistent")
    if !pool.runsPrograms, pool.worker == nil {
      writer.member("start_method", string: pool.startMethod.rawValue)
    }
    writer.memberIfPresent("maxtasksperchild", integer: pool.maxTasksPerChild)
  }

  private func poolState(at index: Int) -> String {
    let stage = engine.stage(ofPool: index)
    guard stage == .running else { return stage.rawValue }
    return driver(at: index)?.condition ?? "starting"
  }

  private func whyNoWorkers(_ index: Int) -> String? {
    guard engine.stage(ofPool: index) == .running,
      let specification = engine.specification(ofPool: index)
    else { return nil }
    return whyNotMade(specification)
  }

  private func listWorkers(of pool: (any PoolDriver)?) -> HTTPResponse {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.name("workers")
    writer.beginArray()
    for worker in pool?.workers ?? [] {
      writer.beginObject()
      writer.member("slot", integer: worker.slot)
      writer.member("pid", integer: Int(worker.process))
      writer.member("state", string: worker.state.rawValue)
      if let call = worker.call,
        let number = engine.job(of: CallID(rawValue: call)), let job = engine.store[number]
      {
        writer.member("job", string: job.id.text)
      }
      writer.member("calls", integer: worker.callsDone)
      if worker.exitStatus == nil, worker.process > 0 {
        let memory = ProcessUsage.memory(of: worker.process)
        writer.memberIfPresent("resident_memory_bytes", integer: memory?.resident)
      }
      writer.member("started_at", string: RFC3339.text(of: wallTime(of: worker.startedAt)))
      if let status = worker.exitStatus {
        writer.member("exitcode", integer: Int(status.exitcode))
      }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return .json(writer.bytes)
  }

  /// What the wall clock showed at a monotonic moment, if it did not jump since the start. From one
  /// pair of readings: two of now would answer another millisecond each time.
  private func wallTime(of nanoseconds: UInt64) -> Timestamp {
    let since = Int64(bitPattern: nanoseconds &- beganAt.instant.nanoseconds)
    return beganAt.timestamp + since / 1_000_000
  }
}
