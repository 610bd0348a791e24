import HTTPServer
import JSON
import JobCore
import Multiprocessing

/// The pools and their workers, to look at.
extension Server {
  /// The operations that look at pools.
  static var poolOperations: [Operation] {
    [
      Operation(.get, "/v1/pools", "list_pools") { (server, request, _) throws(Problem) in
        try server.requireQuery(request, [])
        return .now(server.listPools())
      },
      Operation(.get, "/v1/pools/{name}", "get_pool") { (server, request, _) throws(Problem) in
        try server.requireQuery(request, [])
        var writer = JSONWriter(capacity: 512)
        server.write(try server.pool(request), to: &writer)
        return .now(.json(writer.bytes))
      },
      Operation(.get, "/v1/pools/{name}/workers", "list_workers") {
        (server, request, _) throws(Problem) in
        try server.requireQuery(request, [])
        return .now(server.listWorkers(of: try server.pool(request)))
      },
      completionsOperation,
    ]
  }

  func pool(_ request: HTTPRequest) throws(Problem) -> any PoolDriver {
    let name = request.parameters[0]
    guard let pool = pools.first(where: { $0.name == name }) else {
      throw Problem(
        status: 404, code: .notFound,
        detail: "there is no pool '\(name)'; GET /v1/pools lists them")
    }
    return pool
  }

  private func listPools() -> HTTPResponse {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.name("pools")
    writer.beginArray()
    for pool in pools { write(pool, to: &writer) }
    writer.endArray()
    writer.endObject()
    return .json(writer.bytes)
  }

  private func write(_ pool: any PoolDriver, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("name", string: pool.name)
    writer.member("state", string: pool.condition)
    if let reason = pool.brokenReason { writer.member("reason", string: reason) }
    let worker = pool.configured.worker
    writer.member(
      "kind",
      string: pool.configured.runsPrograms ? "programs" : worker == nil ? "workers" : "persistent")
    if !pool.configured.runsPrograms, worker == nil {
      writer.member("start_method", string: pool.configured.startMethod.rawValue)
    }
    writer.member("processes", integer: pool.processes)
    if let count = pool.configured.maxTasksPerChild {
      writer.member("maxtasksperchild", integer: count)
    }
    if let worker {
      writer.member("allow_pickle", bool: worker.allowsPickle && settings.allowsPickle)
      writer.member("allow_main", bool: worker.allowsMain)
      writer.member("dynamic", bool: engine.isDynamic(pool: pool.index))
    }
    writer.name("tasks")
    writer.beginArray()
    for task in engine.tasks(pool: pool.index) ?? [] { writer.string(task) }
    writer.endArray()
    writer.member("queued", integer: engine.queuedCount(pool: pool.index))
    writer.member("running", integer: engine.runningCount(pool: pool.index))
    writer.endObject()
  }

  private func listWorkers(of pool: any PoolDriver) -> HTTPResponse {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.name("workers")
    writer.beginArray()
    for worker in pool.workers {
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
