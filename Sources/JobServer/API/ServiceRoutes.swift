import Glibc
import HTTPServer
import JSON
import JobCore
import JobStorage
import Multiprocessing

/// What the service says of itself.
extension Server {
  /// The version of this program.
  static let version = "0.1.0"

  /// What the service answers about itself. Health, metrics and the document ignore their query:
  /// probes and browsers add words of their own to it.
  static var serviceOperations: [Operation] {
    [
      Operation(.get, "/v1/info", "get_info") { (server, request, _) throws(Problem) in
        try server.requireQuery(request, [])
        return .now(server.info())
      },
      Operation(.get, "/v1/tasks", "list_tasks") { (server, request, _) throws(Problem) in
        try server.requireQuery(request, [])
        return .now(server.tasks())
      },
      Operation(.get, "/livez", "livez", isPublic: true) { _, _, _ in .now(.text("ok\n")) },
      Operation(.get, "/readyz", "readyz", isPublic: true) { server, _, _ in
        .now(server.readiness())
      },
      Operation(.get, "/healthz", "healthz", isPublic: true) { server, _, _ in
        .now(server.readiness())
      },
      Operation(.get, "/metrics", "metrics") { server, _, _ in .now(server.metricsPage()) },
      Operation(.get, "/openapi.yaml", "openapi_yaml") { _, _, _ in
        .now(
          HTTPResponse(
            status: 200, contentType: "application/yaml", body: OpenAPIDocument.yaml))
      },
      Operation(.get, "/openapi.json", "openapi_json") { _, _, _ in
        .now(.json(OpenAPIDocument.json))
      },
    ]
  }

  /// Refuses a query with names that the operation does not know, or with one of them twice that
  /// is not `repeatable`.
  func requireQuery(
    _ request: HTTPRequest, _ known: [String], repeatable: String? = nil
  ) throws(Problem) {
    guard !request.query.isEmpty else { return }
    var seen: Set<String> = []
    for name in request.query.names {
      guard known.contains(name) else {
        let list = known.isEmpty ? "none" : known.joined(separator: ", ")
        throw Problem.invalid("unknown query parameter '\(name)'; known here: \(list)")
      }
      guard seen.insert(name).inserted || name == repeatable else {
        throw Problem.invalid("the query parameter '\(name)' stands there twice")
      }
    }
  }

  // MARK: Answers

  private func info() -> HTTPResponse {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.member("name", string: "lido")
    writer.member("version", string: Server.version)
    writer.member("pid", integer: Int(getpid()))
    writer.member("started_at", string: RFC3339.text(of: beganAt.timestamp))
    writer.member("ready", bool: phase == .ready)
    writer.member("authentication", string: door.authentication)
    writer.member("cpu_count", integer: CPUCount.usable)
    writer.name("start_methods")
    writer.beginArray()
    writer.string(StartMethod.forkserver.rawValue)
    writer.string(StartMethod.spawn.rawValue)
    writer.endArray()
    writer.name("durability")
    writer.beginObject()
    writer.member("sync", string: "\(settings.sync)")
    writer.member("writable", bool: engine.isWritable)
    writer.member("snapshot_interval", number: Double(settings.snapshotInterval) / 1_000)
    writer.endObject()
    writeLimits(to: &writer)
    writer.endObject()
    return .json(writer.bytes)
  }

  private func writeLimits(to writer: inout JSONWriter) {
    let limits = settings.limits
    writer.name("limits")
    writer.beginObject()
    writer.member("body_bytes_max", integer: settings.bodyBytesMax)
    writer.member("header_bytes_max", integer: settings.headerBytesMax)
    writer.member("header_timeout", number: Double(settings.headerTimeout) / 1_000)
    writer.member("body_timeout", number: Double(settings.bodyTimeout) / 1_000)
    writer.member("open_jobs_max", integer: limits.openJobsMax)
    writer.member("open_bytes_max", integer: limits.openBytesMax)
    writer.member("retention_age", number: Double(limits.retentionAge) / 1_000)
    writer.member("retention_jobs_max", integer: limits.retentionJobsMax)
    writer.member("retention_bytes_max", integer: limits.retentionBytesMax)
    writer.member("pools_max", integer: limits.poolsMax)
    writer.member("pool_processes_max", integer: limits.poolProcessesMax)
    writer.member("wait_max", number: Double(WaitWish.waitMax) / 1_000)
    writer.member("shutdown_grace", number: Double(settings.shutdownGrace) / 1_000)
    if let http { writer.member("connections_max", integer: http.connectionsMax) }
    writer.endObject()
  }

  private func tasks() -> HTTPResponse {
    var pools: [String: [String]] = [:]
    for (index, pool) in settings.pools.enumerated() {
      for task in engine.tasks(pool: index) ?? [] { pools[task, default: []].append(pool.name) }
    }
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.name("tasks")
    writer.beginArray()
    for task in pools.keys.sorted() {
      writer.beginObject()
      writer.member("name", string: task)
      writer.name("pools")
      writer.beginArray()
      for pool in pools[task] ?? [] { writer.string(pool) }
      writer.endArray()
      if let settings = taskSettings[task] { TaskWriter.write(settings, to: &writer) }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return .json(writer.bytes)
  }

  /// 200 when work is taken, 503 with the failing checks when not. A broken pool fails its check,
  /// and the jobs sent to it, but does not take the other pools' work away from the service; one
  /// that cannot start processes at the moment fails its check, too. Where a token is asked for,
  /// strangers see this too, and so only what fails is named.
  private func readiness() -> HTTPResponse {
    var checks: [(name: String, isOK: Bool, detail: String)] = []
    for pool in pools.prefix(settings.pools.count) {
      let stage = engine.stage(ofPool: pool.index)
      // Closed or terminated, it is as somebody wanted it.
      let words = stage == .running ? pool.conditionInWords : stage.rawValue
      checks.append(("pool \(pool.name)", words == "running" || stage != .running, words))
    }
    checks.append(("journal", engine.isWritable, engine.isWritable ? "writable" : "read-only"))
    checks.append(("service", phase == .ready, phase == .ready ? "ready" : phaseName))
    let isReady = phase == .ready && engine.isWritable
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    writer.member("ready", bool: isReady)
    writer.name("checks")
    writer.beginArray()
    for check in checks where !(check.isOK && door.needsToken) {
      writer.beginObject()
      writer.member("name", string: check.name)
      writer.member("ok", bool: check.isOK)
      writer.member("detail", string: check.detail)
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return .json(writer.bytes, status: isReady ? 200 : 503)
  }

  private var phaseName: String {
    switch phase {
    case .starting: "starting"
    case .ready: "ready"
    case .draining, .endingCalls, .closing, .stopped: "draining"
    }
  }
}
