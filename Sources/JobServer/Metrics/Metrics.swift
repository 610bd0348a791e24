import DequeModule
import HTTPServer
import JobCore

/// What the service counts since its start. What it only has to look at when it is asked is read
/// off by `Server.metricsPage()`; how both look is `MetricsPage`'s.
///
/// Counting is on the way of every job and request, so it is by index: no text is made, hashed or
/// compared for it.
struct Metrics {
  /// The end of a worker.
  private struct Exit: Hashable {
    let pool: String
    let reason: String
  }

  /// Why workers end; see `WorkerExit.reason`.
  private static let exitReasons = ["ended", "exited", "lost", "retired", "signalled"]
  /// Jobs whose acceptance is known to the nanosecond: 64 KiB. Beyond so many younger jobs in the
  /// queue, milliseconds do.
  private static let submittedInstants = 4_096
  /// Jobs whose start is; apart, for queued jobs must not take the place of those that run.
  private static let startedInstants = 1_024

  private var tasks = TaskCounts()
  private var mapsCreated = 0
  private var items = ItemCounts()
  private var requests = RequestCounts()
  private var exits: [Exit: Int] = [:]
  private var refusals: [Problem.Code: Int] = [:]
  private var submittedAt = InstantTable(capacity: Metrics.submittedInstants)
  private var startedAt = InstantTable(capacity: Metrics.startedInstants)
  private var wait = Histogram(Histogram.Bounds.ofJobs)
  private var run = Histogram(Histogram.Bounds.ofJobs)
  private var http = Histogram(Histogram.Bounds.ofRequests)
  /// Attempts that were cut off by a crash of the service, or of its fork server.
  private var crashInterruptions = 0
  /// Attempts that were cut off by the end of the service.
  private var shutdownInterruptions = 0

  private var turns = Histogram(Histogram.Bounds.ofRequests)
  private var longestTurn = LongestTurn()

  /// Syncs of the journal.
  var sync = Histogram(Histogram.Bounds.ofRequests)
  /// Snapshots, from the seal of the segment to the rename.
  var snapshot = Histogram(Histogram.Bounds.ofRequests)
  /// When the last snapshot was written; nil: none was since the start.
  var snapshotAt: Timestamp?
  /// Snapshots that came to nothing.
  var snapshotFailures = 0
  /// Appends to the journal that failed.
  var journalFailures = 0
  /// Logs of jobs that could not be kept.
  var logsDropped = 0
  /// Fork servers that ended by themselves.
  var forkServersLost = 0

  // MARK: Jobs

  /// Counts the records from `first` on, as soon as an event has led to them; `store` already holds
  /// what they say.
  mutating func note(_ records: [Record], from first: Int, store: JobStore, at moment: Moment) {
    for index in first..<records.count {
      // Without what the records hold: a copy would count references.
      switch records[index] {
      case .jobSubmitted: noteSubmission(records[index].job, store, moment.instant)
      case .attemptStarted(let number, _, _): startedAt.set(number, moment.instant)
      case .jobEnded(let number, .failed(let error), _):
        noteEnd(number, error.code, store, moment)
        if store.mapCount > 0 { noteItems(number, store) }
      case .jobEnded(let number, _, _):
        noteEnd(number, nil, store, moment)
        if store.mapCount > 0 { noteItems(number, store) }
      case .mapCreated: mapsCreated += 1
      case .attemptFailed(let number, _, _):
        guard let job = store.brief(of: number) else { continue }
        tasks[tasks.place(job.task, job.pool, in: store)].retries += 1
      case .attemptRevoked(_, .interrupted): crashInterruptions += 1
      case .attemptRevoked(_, .shutdown): shutdownInterruptions += 1
      case .attemptRevoked, .jobQueued, .cancelRequested, .jobForgotten, .jobWithdrawn,
        .mapInputEnded, .mapCancelRequested, .chunkReleased, .mapForgotten, .mapWithdrawn,
        .poolCreated, .poolResized, .poolPaused, .poolResumed, .poolClosed, .poolTerminated:
        break
      case .poolRemoved(let pool): dropPool(pool, store)
      }
    }
  }

  /// A created pool is joined, or gone: it gives its series back, or there would be ever more of
  /// them; and its name in the store may become another's.
  mutating func dropPool(_ pool: String, _ store: JobStore) {
    tasks.drop(pool: store.names.find(pool), named: pool)
    for reason in Metrics.exitReasons { exits[Exit(pool: pool, reason: reason)] = nil }
  }

  /// Notes which tasks a pool has: the others of it are counted together.
  mutating func noteTasks(_ names: [String], of pool: String) {
    tasks.announce(names, of: pool)
  }

  /// Counts the items of a chunk that has ended.
  private mutating func noteItems(_ number: JobNumber, _ store: JobStore) {
    guard let counts = store[number]?.itemCounts else { return }
    items.succeeded += counts.succeeded
    items.failed += counts.failed
    items.skipped += counts.skipped
  }

  /// Appends what was counted of maps.
  func writeMaps(to page: inout MetricsPage) {
    page.single(
      "lido_maps_submitted_total", .counter, "Maps that were accepted since the start.",
      mapsCreated)
    page.family(
      "lido_map_items_total", .counter, "Items of maps that are done since the start.")
    for (outcome, count) in [
      ("succeeded", items.succeeded), ("failed", items.failed), ("skipped", items.skipped),
    ] {
      page.sample(count, ("outcome", outcome))
    }
  }

  private mutating func noteSubmission(
    _ number: JobNumber, _ store: JobStore, _ instant: Instant
  ) {
    guard let job = store.brief(of: number) else { return }
    tasks[tasks.place(job.task, job.pool, in: store)].submitted += 1
    submittedAt.set(number, instant)
  }

  /// A job that is not held any more was dropped by the event that ended it.
  private mutating func noteEnd(
    _ number: JobNumber, _ failure: JobError.Code?, _ store: JobStore, _ moment: Moment
  ) {
    guard let job = store.brief(of: number) else { return }
    let place = tasks.place(job.task, job.pool, in: store)
    if let failure {
      tasks[place].failed += 1
      tasks[place].failures[failure, default: 0] += 1
    } else if job.state == .succeeded {
      tasks[place].succeeded += 1
    } else {
      tasks[place].cancelled += 1
    }
    guard job.startedAt != 0 else { return }
    guard let began = startedAt[number] else {
      wait.observe(milliseconds: job.startedAt - job.createdAt)
      run.observe(milliseconds: moment.timestamp - job.startedAt)
      return
    }
    run.observe(nanoseconds: moment.instant.nanoseconds - began)
    if let accepted = submittedAt[number] {
      wait.observe(nanoseconds: began - accepted)
    } else {
      wait.observe(milliseconds: job.startedAt - job.createdAt)
    }
  }

  /// Takes back that a job was submitted: its record could not be written, and its client is told
  /// that it was refused. In the turn of the submission, so that no page has shown it.
  mutating func noteWithdrawal(_ job: JobBrief, _ store: JobStore) {
    tasks[tasks.place(job.task, job.pool, in: store)].submitted -= 1
  }

  /// The same of a map, with its chunks that have not ended.
  mutating func noteWithdrawal(of map: JobMap, _ store: JobStore) {
    mapsCreated -= 1
    tasks[tasks.place(map.task, map.pool, in: store)].submitted -= map.openChunks
  }

  /// Counts a wish that the engine refused.
  mutating func noteRefusal(_ code: Problem.Code) {
    refusals[code, default: 0] += 1
  }

  // MARK: The loop

  /// Counts one turn, without the wait before it.
  @inline(__always)
  mutating func noteTurn(from instant: Instant, to nanoseconds: UInt64) {
    let taken = nanoseconds - instant.nanoseconds
    turns.observe(nanoseconds: taken)
    longestTurn.observe(taken, at: instant.nanoseconds)
  }

  /// Appends what was counted of turns.
  mutating func writeTurns(to page: inout MetricsPage, at instant: Instant) {
    page.histogram(
      "lido_turn_seconds", "Turns of the loop, without the wait between two of them.", turns)
    page.single(
      "lido_turn_longest_seconds", .gauge, "The longest of this minute and the one before.",
      Double(longestTurn.nanoseconds(at: instant.nanoseconds)) * 1e-9)
  }

  // MARK: Requests and workers

  /// Counts one request.
  ///
  /// - Parameter route: its place in the order of the router; -1: none.
  mutating func noteRequest(
    route: Int, method: HTTPMethod?, status: Int, nanoseconds: UInt64
  ) {
    http.observe(nanoseconds: nanoseconds)
    requests.note(route: route, method: method, status: status)
  }

  /// Counts the end of a worker.
  mutating func noteWorkerExit(pool: String, reason: String) {
    exits[Exit(pool: pool, reason: reason), default: 0] += 1
  }
}

// MARK: Writing

extension Metrics {
  /// Appends what was counted for jobs.
  ///
  /// - Parameter announced: the tasks of each configured pool; they are there from the start, at 0,
  ///   so that the first job already shows as a rise.
  func writeJobs(
    to page: inout MetricsPage, store: JobStore, announced: [(pool: String, tasks: [String])]
  ) {
    let lines = taskLines(store, announced)
    page.family(
      "lido_jobs_submitted_total", .counter,
      "Jobs that were accepted since the start. One that could not be written is not counted.")
    for (task, pool, counts) in lines {
      page.sample(counts.submitted, ("task", task), ("pool", pool))
    }
    page.family("lido_jobs_finished_total", .counter, "Jobs that became final since the start.")
    for (task, pool, counts) in lines {
      for (outcome, count) in [
        (JobState.succeeded, counts.succeeded), (.failed, counts.failed),
        (.cancelled, counts.cancelled),
      ] {
        page.sample(
          count, ("task", task), ("pool", pool), ("outcome", outcome.rawValue))
      }
    }
    page.family("lido_job_failures_total", .counter, "Jobs that failed, by the code of the error.")
    for (task, pool, counts) in lines {
      for code in JobError.Code.allCases {
        guard let count = counts.failures[code] else { continue }
        page.sample(count, ("task", task), ("pool", pool), ("code", code.rawValue))
      }
    }
    page.family(
      "lido_job_retries_total", .counter, "Attempts that failed and are followed by another.")
    for (task, pool, counts) in lines where counts.retries > 0 {
      page.sample(counts.retries, ("task", task), ("pool", pool))
    }
    writeJobTimes(to: &page)
  }

  private func writeJobTimes(to page: inout MetricsPage) {
    page.family(
      "lido_job_interruptions_total", .counter,
      """
      Attempts that were cut off and run again: by a crash of the service or of its fork server, \
      or by the end of the service.
      """)
    page.sample(crashInterruptions, ("reason", "crash"))
    page.sample(shutdownInterruptions, ("reason", "shutdown"))
    page.family(
      "lido_refusals_total", .counter,
      """
      Submissions and cancels that were refused, by the code of the problem; of a request with \
      many submissions each.
      """)
    for code in Problem.Code.allCases {
      if let count = refusals[code] { page.sample(count, ("code", code.rawValue)) }
    }
    page.histogram(
      "lido_job_wait_seconds",
      """
      Of jobs that became final, from acceptance until the last attempt was handed to a worker. \
      Exact to a turn of the loop (microseconds); of jobs with 4096 younger ones, or of an earlier \
      start, to a millisecond.
      """, wait)
    page.histogram(
      "lido_job_run_seconds",
      """
      Of jobs that became final, from when the last attempt was handed to a worker to its end. \
      Exact to a turn of the loop (microseconds); of jobs with 1024 younger ones that have begun, \
      to a millisecond.
      """, run)
  }

  /// The label of the tasks that their pool has not announced.
  static let otherTasks = "(other)"

  private typealias Named = (task: String, pool: String, counts: TaskCounts.Counts)

  /// The lines by name, and those that are announced and have not been needed.
  private func taskLines(
    _ store: JobStore, _ announced: [(pool: String, tasks: [String])]
  ) -> [Named] {
    var lines: [Named] = tasks.lines.map {
      ($0.task.map { store.names[$0] } ?? Metrics.otherTasks, store.names[$0.pool], $0.counts)
    }
    for (pool, names) in announced {
      for task in names where !lines.contains(where: { $0.task == task && $0.pool == pool }) {
        lines.append((task, pool, TaskCounts.Counts()))
      }
    }
    return lines.sorted { ($0.pool, $0.task) < ($1.pool, $1.task) }
  }

  /// Appends what was counted for workers, for each pool from the start.
  func writeWorkers(to page: inout MetricsPage, pools: [String]) {
    page.family(
      "lido_worker_exits_total", .counter,
      """
      Workers that ended, by reason. Programs that are jobs are not counted: their ends are those \
      of their jobs.
      """)
    for pool in pools {
      for reason in Metrics.exitReasons {
        let count = exits[Exit(pool: pool, reason: reason)] ?? 0
        page.sample(count, ("pool", pool), ("reason", reason))
      }
    }
    page.single(
      "lido_fork_server_exits_total", .counter,
      "Fork servers that ended by themselves and were replaced; what ran was interrupted.",
      forkServersLost)
  }

  /// Appends what was counted for the disk.
  func writeStorage(to page: inout MetricsPage) {
    page.histogram(
      "lido_journal_sync_seconds", "Syncs of the journal to the disk, beside the loop.", sync)
    page.single(
      "lido_journal_failures_total", .counter,
      "Appends to the journal that failed, further tries included.", journalFailures)
    page.histogram(
      "lido_snapshot_seconds", "Snapshots that were written, from the seal to the end.", snapshot)
    page.single(
      "lido_snapshot_failures_total", .counter, "Snapshots that came to nothing.",
      snapshotFailures)
    page.single(
      "lido_job_logs_dropped_total", .counter,
      "What programs wrote and could not be kept, two for each job at most.", logsDropped)
    if let snapshotAt {
      page.single(
        "lido_snapshot_last_success_timestamp_seconds", .gauge,
        "When the last snapshot since the start was written.", Double(snapshotAt) / 1_000)
    }
  }

  /// Appends what was counted for requests. `routes` are the names in the order of the router.
  func writeRequests(to page: inout MetricsPage, routes: [String]) {
    page.family(
      "lido_http_requests_total", .counter,
      """
      Requests that were answered. The route is none where the path or the method has none, or the \
      request was refused before.
      """)
    let lines = requests.lines.map { line, count in
      (
        route: line.route < 0 ? "none" : routes[line.route],
        method: line.method?.rawValue ?? "other", status: line.status, count: count
      )
    }
    let order = lines.sorted {
      ($0.route, $0.method, $0.status) < ($1.route, $1.method, $1.status)
    }
    for line in order {
      page.sample(
        line.count, ("route", line.route), ("method", line.method), ("code", "\(line.status)"))
    }
    page.histogram(
      "lido_http_request_seconds",
      """
      From the request line to the last byte of the answer, waits included. To a turn of the loop: \
      what is answered within one took 0.
      """, http)
  }
}
