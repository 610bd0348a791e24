import JobCore
import Testing

@testable import JobServer

/// `pools: NAME: worker: …` in the configuration file: programs that stay, and what is refused.
@Suite struct PoolSettingsTests {
  private let folder = TemporaryFolder()

  private func settings(
    _ yaml: String, _ environment: [String: String] = [:]
  ) throws -> Settings {
    let path = folder.file("lido.yaml", yaml)
    return try SettingSources.join(flags: [.config: path], environment: environment)
  }

  private func refusal(_ yaml: String) -> String? {
    do {
      _ = try settings(yaml)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test func `a pool with everything`() throws {
    let settings = try settings(
      """
      allow_pickle: true
      pools:
        python:
          directory: /srv/tasks
          worker: [python3, -m, lido.worker, "my tasks"]
          processes: 3
          maxtasksperchild: 100
          environment: { PYTHONPATH: /srv, PATH: /opt/bin }
          inherit: [TZ, HOME]
          initializer: "mytasks:prepare"
          initargs: [1, "two", { three: null }, 4.50, true, "5"]
          allow_pickle: true
          allow_main: true
          ready_timeout: 5
          max_arguments: 1MiB
          output: 2MiB
          log: 4KiB
      """)
    let pool = try #require(settings.pools.last)
    #expect(pool.name == "python" && pool.processes == 3 && pool.maxTasksPerChild == 100)
    let worker = try #require(pool.worker)
    #expect(worker.arguments == ["python3", "-m", "lido.worker", "my tasks"])
    #expect(worker.directory == "/srv/tasks")
    #expect(worker.initializer == "mytasks:prepare")
    #expect(worker.initializerArguments == #"[1,"two",{"three":null},4.50,true,"5"]"#)
    #expect(pool.readyTimeout == 5_000)
    #expect(worker.argumentBytesMax == 1 << 20 && worker.outputBytesMax == 2 << 20)
    #expect(worker.logBytesMax == 4_096)
    #expect(
      settings.poolRules == [
        "python": PoolRule(allowsPickle: true, allowsMain: true, argumentBytesMax: 1 << 20)
      ])
    let variables = ["TZ": "UTC", "HOME": "/root", "SECRET": "x", "PATH": "/bin"]
    #expect(
      worker.environment(in: variables) == [
        "HOME=/root", "LANG=C.UTF-8", "PATH=/opt/bin", "PYTHONPATH=/srv", "TZ=UTC",
      ])
    #expect(worker.path(in: variables) == "/opt/bin")
  }

  @Test func `a pool with a program alone has every default`() throws {
    let settings = try settings("pools: { a: { worker: [x] } }")
    #expect(settings.pools.last?.worker == WorkerProgramSettings(arguments: ["x"]))
    #expect(settings.poolRules == ["a": PoolRule()])
    #expect(
      WorkerProgramSettings(arguments: ["x"]).environment(in: ["PATH": "/bin", "A": "b"])
        == ["LANG=C.UTF-8", "PATH=\(ProgramSettings.defaultPath)"])
  }

  @Test func `pickle needs the pool's word and the service's`() throws {
    let yaml = "pools: { a: { worker: [x], allow_pickle: true } }"
    #expect(try settings(yaml).poolRules["a"]?.allowsPickle == false)
    for value in ["1", "true"] {
      let settings = try settings(yaml, ["LIDO_ALLOW_PICKLE": value])
      #expect(settings.poolRules["a"]?.allowsPickle == true)
    }
    let other = "allow_pickle: true\npools: { a: { worker: [x] } }"
    #expect(try settings(other).poolRules["a"]?.allowsPickle == false)
  }

  @Test func `a pool of this program's workers may have one of its initializers`() throws {
    let settings = try settings(
      """
      pools:
        default: { initializer: prepare, initargs: ["a", { b: 1 }] }
        tools: { initializer: prepare }
      tasks: { t: { exec: [y], pool: other } }
      """)
    let pools = settings.pools.prefix(2)
    #expect(pools.map(\.initializer) == ["prepare", "prepare"])
    #expect(pools.map(\.initializerArguments) == [#"["a",{"b":1}]"#, "[]"])
    try settings.checkInitializers(known: ["prepare", "else"])
    let refusal = #expect(throws: SettingError.self) {
      try settings.checkInitializers(known: ["b", "a"])
    }
    #expect(refusal?.description.contains("lido.yaml:2: initializer: ") == true)
    #expect(refusal?.description.contains("(it has: a, b)") == true)
  }

  @Test func `a pool that runs programs has no initializer`() {
    let refusal = refusal(
      """
      pools: { tools: { initializer: prepare } }
      tasks: { t: { exec: [y], pool: tools } }
      """)
    #expect(refusal?.contains("lido.yaml:1: the pool 'tools' runs programs") == true)
  }

  @Test(arguments: [
    ("{ worker: [] }", "the program to run is missing"),
    ("{ worker: python3 -m x }", "worker: expected a list, like [python3, -m, lido.worker, "),
    ("{ wrker: [a] }", "unknown key 'wrker' (did you mean worker?); a pool has processes, "),
    ("{ worker: [x], inherit: HOME }", "inherit: expected a list, like [HOME, TZ]"),
    ("{ worker: [\"\"] }", "the program to run is missing"),
    ("{ worker: [[x]] }", "expected texts only"), ("{ directory: / }", "only a pool with 'worker'"),
    ("{ initializer: \"\" }", "empty"), ("{ initargs: 1 }", "expected a list"),
    ("{ worker: [x], start_method: spawn }", "a pool with 'worker' has none"),
    ("{ worker: [x], initargs: 1 }", "expected a list"),
    ("{ worker: [x], initializer: \"\" }", "empty"), ("{ worker: [x], log: 1 }", "size"),
    ("{ worker: [x], allow_pickle: 1 }", "neither true nor false"),
    ("{ worker: [x], ready_timeout: 0 }", "not a time"),
    ("{ worker: [x], environment: { LIDO_CHANNEL: 4 } }", "the service sets by itself"),
    ("{ worker: [x], inherit: [LIDO_CHANNEL] }", "the service sets by itself"),
    ("{ worker: [x], output: 1GiB }", "more than a result may have"),
    ("{ worker: [x], directory: ~/a }", "~ is not expanded"),
    (
      "{ workers: 2 }",
      "(did you mean worker?); a pool has processes, start_method, maxtasksperchild, ready_timeout,"
    ),
    ("{ colour: red }", "unknown key 'colour'; a pool has "),
  ])
  func `what is wrong is refused with its place`(pool: String, words: String) {
    let refusal = refusal("pools:\n  a: \(pool)\n")
    #expect(refusal?.contains("lido.yaml:2: ") == true, "\(refusal ?? "")")
    #expect(refusal?.contains(words) == true, "\(refusal ?? "")")
  }

  @Test func `a pool runs programs or keeps workers, not both`() {
    let refusal = refusal(
      """
      pools: { a: { worker: [x] } }
      tasks: { t: { exec: [y], pool: a } }
      """)
    #expect(refusal?.contains("runs programs") == true)
  }
}
