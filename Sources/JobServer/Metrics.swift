import JSON
import JobCore

/// What the service counts, as Prometheus reads it (text format 0.0.4). Never a job id in a label.
struct Metrics {
  /// Counts of durations by upper bound.
  struct Histogram {
    /// Upper bounds in seconds.
    static let bounds: [Double] = [
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    private(set) var counts = [Int](repeating: 0, count: Histogram.bounds.count)
    private(set) var count = 0
    private(set) var sum = 0.0

    /// Adds one duration. One between two readings of the wall clock is negative when that was set
    /// back; it counts as 0, for a sum that falls is a restart to Prometheus.
    mutating func observe(seconds: Double) {
      let seconds = max(seconds, 0)
      count += 1
      sum += seconds
      if let index = Histogram.bounds.firstIndex(where: { seconds <= $0 }) { counts[index] += 1 }
    }
  }

  private struct Line: Hashable {
    let task: Name
    let pool: Name
    let state: JobState

    /// All three in one word: hashing one costs less than hashing three.
    func hash(into hasher: inout Hasher) {
      hasher.combine(UInt64(task.index) << 32 | UInt64(pool.index) << 8 | UInt64(state.index))
    }
  }

  private struct HTTPLine: Equatable {
    let route: String
    let method: String
    let status: Int
  }

  private var submitted: [Line: Int] = [:]
  private var finished: [Line: Int] = [:]
  /// A list: there are a few dozen, the first of them nearly always, and comparing two is cheaper
  /// than hashing one.
  private var requests: [(line: HTTPLine, count: Int)] = []
  private var exits: [String: Int] = [:]
  /// From acceptance to the start of the last attempt.
  private(set) var wait = Histogram()
  /// From the start of the last attempt to the end.
  private(set) var run = Histogram()
  /// Requests, from the request line to the answer.
  private(set) var http = Histogram()
  /// Syncs of the journal.
  var sync = Histogram()
  /// Snapshots, from the seal of the segment to the rename.
  var snapshot = Histogram()

  /// Counts the records of a turn; `store` already holds what they say.
  mutating func note(_ records: [Record], store: JobStore) {
    for record in records {
      switch record {
      case .jobSubmitted(let job):
        guard let brief = store.brief(of: job.number) else { continue }
        submitted[Line(task: brief.task, pool: brief.pool, state: .queued), default: 0] += 1
      case .jobEnded(let number, _, let timestamp):
        guard let job = store.brief(of: number) else { continue }
        finished[Line(task: job.task, pool: job.pool, state: job.state), default: 0] += 1
        guard job.startedAt != 0 else { continue }
        wait.observe(seconds: Double(job.startedAt - job.createdAt) / 1_000)
        run.observe(seconds: Double(timestamp - job.startedAt) / 1_000)
      default: continue
      }
    }
  }

  /// Counts one request.
  mutating func noteRequest(route: String, method: String, status: Int, seconds: Double) {
    http.observe(seconds: seconds)
    let line = HTTPLine(route: route, method: method, status: status)
    for index in requests.indices where requests[index].line == line {
      requests[index].count += 1
      return
    }
    requests.append((line, 1))
  }

  /// Counts the end of a worker.
  mutating func noteWorkerExit(pool: String, reason: String) {
    let labels = "\(Metrics.label("pool", pool)),\(Metrics.label("reason", reason))"
    exits[labels, default: 0] += 1
  }
}

// MARK: Writing

extension Metrics {
  /// One gauge or counter line: labels (without braces, may be empty) and value.
  typealias Sample = (labels: String, value: String)

  /// The page, with the gauges that the server reads off at this moment.
  func page(store: JobStore, gauges: [(name: String, help: String, samples: [Sample])]) -> [UInt8] {
    var text = ""
    func family(_ name: String, _ type: String, _ help: String, _ samples: [Sample]) {
      guard !samples.isEmpty else { return }
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
      for sample in samples {
        text += sample.labels.isEmpty ? name : "\(name){\(sample.labels)}"
        text += " \(sample.value)\n"
      }
    }
    func labels(_ line: Line) -> String {
      Metrics.label("task", store.names[line.task]) + ","
        + Metrics.label("pool", store.names[line.pool])
    }
    family(
      "lido_jobs_submitted_total", "counter", "Jobs accepted since the start.",
      submitted.map { (labels($0.key), "\($0.value)") }.sorted { $0.labels < $1.labels })
    family(
      "lido_jobs_finished_total", "counter", "Jobs that became final since the start.",
      finished.map {
        (
          labels($0.key) + "," + Metrics.label("outcome", $0.key.state.rawValue), "\($0.value)"
        )
      }.sorted { $0.labels < $1.labels })
    for gauge in gauges { family(gauge.name, "gauge", gauge.help, gauge.samples) }
    family(
      "lido_worker_exits_total", "counter", "Workers that ended, by reason.",
      exits.map { ($0.key, "\($0.value)") }.sorted { $0.labels < $1.labels })
    family(
      "lido_http_requests_total", "counter", "Requests answered.",
      requests.map {
        let labels = [
          Metrics.label("route", $0.line.route), Metrics.label("method", $0.line.method),
          Metrics.label("code", "\($0.line.status)"),
        ]
        return (labels.joined(separator: ","), "\($0.count)")
      }.sorted { $0.labels < $1.labels })
    text += Metrics.text(
      of: wait, "lido_job_wait_seconds", "From acceptance to the start of the last attempt.")
    text += Metrics.text(
      of: run, "lido_job_run_seconds", "From the start of the last attempt to the end.")
    text += Metrics.text(of: http, "lido_http_request_seconds", "From request to answer.")
    text += Metrics.text(of: sync, "lido_journal_sync_seconds", "Syncs of the journal to disk.")
    text += Metrics.text(of: snapshot, "lido_snapshot_seconds", "Writing of snapshots.")
    return [UInt8](text.utf8)
  }

  private static func text(of histogram: Histogram, _ name: String, _ help: String) -> String {
    var text = "# HELP \(name) \(help)\n# TYPE \(name) histogram\n"
    var total = 0
    for (bound, count) in zip(Histogram.bounds, histogram.counts) {
      total += count
      text += "\(name)_bucket{le=\"\(bound)\"} \(total)\n"
    }
    text += "\(name)_bucket{le=\"+Inf\"} \(histogram.count)\n"
    return text + "\(name)_sum \(histogram.sum)\n\(name)_count \(histogram.count)\n"
  }

  /// How many jobs are held in each state, for each of `pools` and for every other pool that jobs
  /// of an earlier configuration belong to.
  static func jobCounts(of store: JobStore, pools: [String]) -> [Sample] {
    let others = store.poolsOfJobs.map { store.names[$0] }.filter { !pools.contains($0) }
    return (pools + others).flatMap { pool in
      let name = store.names.find(pool)
      return JobState.allCases.map { state in
        let count = name.map { store.count(of: state, pool: $0) } ?? 0
        return (label("state", state.rawValue) + "," + label("pool", pool), "\(count)")
      }
    }
  }

  /// A label with its value: backslash, quote and line feed are escaped. By scalars, since CR LF is
  /// one `Character`.
  static func label(_ name: String, _ value: String) -> String {
    var text = name + "=\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
