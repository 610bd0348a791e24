import Glibc
import HTTPServer
import JobCore
import JobStorage

/// `GET /metrics`: what was counted, and what can be read off at this moment.
extension Server {
  /// The names of the routes in the order of the router.
  private static let routeNames = Operation.all.map(\.name)

  /// The page in Prometheus' text format.
  func metricsPage() -> HTTPResponse {
    var page = MetricsPage()
    page.family("lido_build_info", .gauge, "The version; always 1.")
    page.sample(1, ("version", Server.version))
    writeState(to: &page)
    metrics.writeTurns(to: &page, at: now.instant)
    let announced = told.map { (pool: $0.name, tasks: engine.tasks(pool: $0.index) ?? []) }
    metrics.writeJobs(to: &page, store: engine.store, announced: announced)
    writeJobsHeld(to: &page)
    metrics.writeMaps(to: &page)
    page.single("lido_maps_open", .gauge, "Maps that are not final.", engine.store.openMapCount)
    writeWorkers(to: &page)
    writeStorage(to: &page)
    metrics.writeRequests(to: &page, routes: Server.routeNames)
    writeConnections(to: &page)
    ProcessUsage.write(to: &page, startedAt: beganAt.timestamp)
    return HTTPResponse(
      status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: page.bytes)
  }

  /// The pools that have series of their own: not those that clients created and that are joined.
  private var told: [any PoolDriver] {
    pools.filter {
      engine.stage(ofPool: $0.index) != .joined || engine.specification(ofPool: $0.index) == nil
    }
  }

  private func writeState(to page: inout MetricsPage) {
    page.single(
      "lido_ready", .gauge, "1 while work is taken: what /readyz says.",
      phase == .ready && engine.isWritable ? 1 : 0)
    page.single(
      "lido_read_only", .gauge, "1 while the journal cannot be written and nothing is accepted.",
      engine.isWritable ? 0 : 1)
    page.single(
      "lido_draining", .gauge, "1 from SIGTERM, SIGINT or SIGHUP on.",
      phase == .ready || phase == .starting ? 0 : 1)
  }

  private func writeJobsHeld(to page: inout MetricsPage) {
    let store = engine.store
    let limits = settings.limits
    page.family(
      "lido_jobs", .gauge,
      """
      Jobs held, by state, of every pool that there is; of others by name while they have open \
      jobs, and otherwise together.
      """)
    let present = told.map(\.name)
    let known = Set(present.compactMap(store.names.find))
    let others = store.poolsOfJobs.filter { !known.contains($0) }
    func isOpen(_ pool: Name) -> Bool {
      JobState.allCases.contains { !$0.isFinal && store.count(of: $0, pool: pool) > 0 }
    }
    for pool in present + others.filter(isOpen).map({ store.names[$0] }) {
      let name = store.names.find(pool)
      for state in JobState.allCases {
        let count = name.map { store.count(of: state, pool: $0) } ?? 0
        page.sample(count, ("state", state.rawValue), ("pool", pool))
      }
    }
    // There may have been any number of them, so none has a series of its own for as long.
    let gone = others.filter { !isOpen($0) }
    if !gone.isEmpty {
      for state in JobState.allCases {
        let count = gone.reduce(0) { $0 + store.count(of: state, pool: $1) }
        page.sample(count, ("state", state.rawValue), ("pool", "(gone)"))
      }
    }
    page.family(
      "lido_queue_oldest_job_age_seconds", .gauge,
      "How long ago the job that waits longest for a worker was accepted; 0: none waits.")
    for pool in told {
      let age = engine.oldestQueuedAt(pool: pool.index).map { max(now.timestamp - $0, 0) } ?? 0
      page.sample(Double(age) / 1_000, ("pool", pool.name))
    }
    page.single(
      "lido_open_jobs_max", .gauge, "Most jobs that are not final; more are refused.",
      limits.openJobsMax)
    page.single(
      "lido_open_bytes", .gauge, "Bytes that jobs which are not final brought.", store.openBytes)
    page.single(
      "lido_open_bytes_max", .gauge, "Most of those bytes; more are refused.", limits.openBytesMax)
    page.single(
      "lido_retained_jobs_max", .gauge, "Most final jobs that are kept.", limits.retentionJobsMax)
    page.single("lido_retained_bytes", .gauge, "Bytes of final jobs.", store.finishedBytes)
    page.single(
      "lido_retained_bytes_max", .gauge, "Most bytes of final jobs that are kept.",
      limits.retentionBytesMax)
  }

  private func writeWorkers(to page: inout MetricsPage) {
    page.family(
      "lido_workers", .gauge, "Workers by state; in a pool of programs, programs and free places.")
    for pool in told {
      for (state, count) in pool.workerCounts {
        page.sample(count, ("pool", pool.name), ("state", state))
      }
    }
    page.family("lido_pool_broken", .gauge, "1 if the pool gave up: its jobs fail.")
    for pool in told {
      page.sample(pool.brokenReason == nil ? 0 : 1, ("pool", pool.name))
    }
    metrics.writeWorkers(to: &page, pools: told.map(\.name))
  }

  private func writeStorage(to page: inout MetricsPage) {
    metrics.writeStorage(to: &page)
    page.single(
      "lido_journal_bytes", .gauge, "Bytes of journal that the next start would replay.",
      storage.journalBytes)
    page.single(
      "lido_journal_pending_records", .gauge,
      "Records that wait for a journal that can be written.", storage.pendingCount)
    page.single(
      "lido_snapshot_bytes", .gauge, "Size of the newest snapshot; 0: there is none.",
      storage.snapshotBytes)
    page.single(
      "lido_job_log_bytes", .gauge, "Bytes of files that keep the logs of jobs.", logs.bytes)
  }

  private func writeConnections(to page: inout MetricsPage) {
    page.single(
      "lido_http_connections", .gauge, "Open connections, this one included.",
      http?.connectionCount ?? 0)
    page.single(
      "lido_http_connections_max", .gauge,
      "Most connections: as set, or what the limit of open files leaves.",
      http?.connectionsMax ?? 0)
    page.single(
      "lido_http_streams", .gauge, "Answers that are being streamed.", http?.streamCount ?? 0)
    page.single(
      "lido_waiting_requests", .gauge, "Requests that wait for jobs, or for completions of a pool.",
      waiters.count + completionWaiters.count)
  }
}

extension ProcessUsage {
  /// Appends what Prometheus' client libraries tell of every process, under their names.
  static func write(to page: inout MetricsPage, startedAt: Timestamp) {
    page.single(
      "process_cpu_seconds_total", .counter, "CPU time of the service itself, without workers.",
      cpuSeconds)
    if let memory = memory(of: getpid()) {
      page.single(
        "process_resident_memory_bytes", .gauge, "Memory of the service itself that is in RAM.",
        memory.resident)
      page.single(
        "process_virtual_memory_bytes", .gauge, "Address space of the service itself.",
        memory.virtual)
    }
    if let count = descriptorCount {
      page.single("process_open_fds", .gauge, "Open descriptors.", count)
    }
    if let count = descriptorsMax {
      page.single("process_max_fds", .gauge, "Most open descriptors.", count)
    }
    page.single(
      "process_start_time_seconds", .gauge, "When the service started, since 1970.",
      Double(startedAt) / 1_000)
  }
}
