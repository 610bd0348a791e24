import JobCore
import Testing

@testable import JobServer

/// The page of metrics, as Prometheus' text format 0.0.4 has it.
@Suite struct MetricsTests {
  private struct Page {
    var types: [String: String] = [:]
    var helps: [String: Int] = [:]
    /// By name and labels, as they stand there.
    var samples: [String: Double] = [:]

    init(_ bytes: [UInt8]) throws {
      let text = String(decoding: bytes, as: UTF8.self)
      try #require(text.utf8.last == UInt8(ascii: "\n"))
      var family = ""
      for line in text.utf8.split(separator: UInt8(ascii: "\n")).map({ String(Substring($0)) }) {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        if line.hasPrefix("# HELP ") {
          helps[words[2], default: 0] += 1
          family = words[2]
        } else if line.hasPrefix("# TYPE ") {
          try #require(words[2] == family && types[family] == nil, "\(line)")
          types[family] = words[3]
        } else {
          // The samples of a family stand together, below its type.
          try #require(line.hasPrefix(family), "\(line)")
          let place = try #require(line.lastIndex(of: " "))
          let key = String(line[..<place])
          try #require(samples[key] == nil, "\(line)")
          let value = Double(line[line.index(after: place)...])
          samples[key] = try #require(value, "\(line)") as Double
        }
      }
    }
  }

  /// A store with a job in each state in pool a, and a queued one in b.
  private func store() -> JobStore {
    var store = JobStore()
    store.restore(nextNumber: 100, forgotten: [])
    for (index, state) in (JobState.allCases + [.queued]).enumerated() {
      let number = JobNumber(index + 1)
      store.restore(
        RestoredJob(
          submitted: JobSubmitted(
            number: number, id: JobID("j\(number)")!, task: "a\"b\\c\nd\r\ne",
            pool: index < 6 ? "a" : "b", args: "[]", options: nil, at: 1_000),
          state: state))
    }
    return store
  }

  @Test func `each family has one help, one type and its samples`() throws {
    var metrics = Metrics()
    metrics.noteRequest(route: "get_job", method: "GET", status: 200, seconds: 0.001)
    metrics.noteRequest(route: "none", method: "other", status: 501, seconds: 0.001)
    metrics.noteWorkerExit(pool: "a", reason: "signalled")
    metrics.noteWorkerExit(pool: "a", reason: "signalled")
    let page = try Page(
      metrics.page(store: store(), gauges: [("lido_build_info", "The version.", [("", "1")])]))
    #expect(Set(page.helps.keys) == Set(page.types.keys))
    #expect(page.helps.values.allSatisfy { $0 == 1 })
    #expect(page.types["lido_build_info"] == "gauge")
    #expect(page.types["lido_http_requests_total"] == "counter")
    #expect(page.types["lido_job_wait_seconds"] == "histogram")
    #expect(
      page.samples["lido_http_requests_total{route=\"get_job\",method=\"GET\",code=\"200\"}"] == 1)
    #expect(page.samples["lido_worker_exits_total{pool=\"a\",reason=\"signalled\"}"] == 2)
    #expect(page.samples["lido_build_info"] == 1)
  }

  @Test func `jobs are counted as they come and end`() throws {
    var store = JobStore()
    var metrics = Metrics()
    let submitted = JobSubmitted(
      number: 1, id: JobID("one")!, task: "a\"b\\c\nd\r\ne", pool: "a", args: "[]", options: nil,
      at: 1_000)
    let records: [Record] = [
      .jobSubmitted(submitted), .attemptStarted(1, attempt: 1, at: 1_020),
      .jobEnded(1, .succeeded("1"), at: 1_320),
    ]
    for record in records { try store.apply(record) }
    metrics.note(records, store: store)
    let page = try Page(metrics.page(store: store, gauges: []))
    let labels = #"task="a\"b\\c\nd"# + "\r" + #"\ne",pool="a""#
    #expect(page.samples["lido_jobs_submitted_total{\(labels)}"] == 1)
    #expect(page.samples["lido_jobs_finished_total{\(labels),outcome=\"succeeded\"}"] == 1)
    #expect(page.samples["lido_job_wait_seconds_sum"] == 0.02)
    #expect(page.samples["lido_job_run_seconds_sum"] == 0.3)
    #expect(page.samples["lido_job_run_seconds_bucket{le=\"0.25\"}"] == 0)
    #expect(page.samples["lido_job_run_seconds_bucket{le=\"0.5\"}"] == 1)
  }

  @Test func `a histogram is cumulative`() throws {
    var metrics = Metrics()
    for seconds in [0, 0.0005, 0.0006, 0.3, 61, 1_000, -5] {
      metrics.sync.observe(seconds: seconds)
    }
    let page = try Page(metrics.page(store: JobStore(), gauges: []))
    let name = "lido_journal_sync_seconds"
    let buckets = Metrics.Histogram.bounds.map {
      page.samples["\(name)_bucket{le=\"\($0)\"}"] ?? -1
    }
    #expect(buckets == buckets.sorted())
    #expect(buckets.first == 3 && buckets.last == 5)
    #expect(page.samples["\(name)_bucket{le=\"+Inf\"}"] == 7)
    #expect(page.samples["\(name)_count"] == 7)
    #expect(abs((page.samples["\(name)_sum"] ?? 0) - 1_061.3011) < 1e-9)
  }

  @Test func `jobs are counted by state and pool`() throws {
    let store = store()
    let samples = Metrics.jobCounts(of: store, pools: ["b", "new"])
    #expect(samples.count == 3 * JobState.allCases.count)
    let counts = Dictionary(uniqueKeysWithValues: samples)
    for state in JobState.allCases {
      #expect(counts["state=\"\(state.rawValue)\",pool=\"a\""] == "1", "kept, not configured")
      let queued = state == .queued ? "1" : "0"
      #expect(counts["state=\"\(state.rawValue)\",pool=\"b\""] == queued)
      #expect(counts["state=\"\(state.rawValue)\",pool=\"new\""] == "0")
    }
  }
}
