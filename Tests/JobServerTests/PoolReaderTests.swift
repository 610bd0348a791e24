import JobCore
import Multiprocessing
import Testing

@testable import JobServer

/// The bodies that ask for a pool, or for a change of one.
struct PoolReaderTests {
  private static let settings: Settings = {
    var settings = Settings()
    settings.allowsPickle = true
    settings.pools[0].processes = 3
    settings.pools[0].maxTasksPerChild = 9
    var python = Settings.Pool(name: "python", processes: 2)
    python.worker = WorkerProgramSettings(arguments: ["python3"])
    python.worker?.allowsPickle = true
    python.worker?.allowsMain = true
    python.worker?.initializer = "own:begin"
    settings.pools.append(python)
    settings.pools.append(Settings.Pool(name: "shell", processes: 1, runsPrograms: true))
    settings.limits.poolProcessesMax = 8
    return settings
  }()

  private func read(_ text: String, _ settings: Settings = settings) throws -> PoolSpecification {
    try PoolReader.specification(
      of: Array(text.utf8), idempotencyKey: nil, settings, initializers: ["warm", "load"])
  }

  private func refusal(of text: String) -> Problem? {
    do {
      _ = try read(text)
      return nil
    } catch {
      return error as? Problem
    }
  }

  @Test(arguments: ["", "{}", #"{"processes":null,"template":null,"name":null}"#])
  func `what is left out is the template's`(text: String) throws {
    #expect(
      try read(text)
        == PoolSpecification(template: "default", processes: 3, callsPerWorkerMax: 9))
  }

  @Test func `everything that can be asked for`() throws {
    let text = #"""
      {"name":"a.b_c-1","template":"python","processes":8.0,"initializer":"m:f","initargs":[1, {}],
       "maxtasksperchild":5,"main":"/a b.py","allow_pickle":true,"idle_timeout":1.5}
      """#
    #expect(
      try read(text)
        == PoolSpecification(
          name: "a.b_c-1", template: "python", processes: 8, callsPerWorkerMax: 5,
          initializer: "m:f", initializerArguments: "[1,{}]", main: "/a b.py", allowsPickle: true,
          idleTimeout: 1_500))
    #expect(try read(#"{"start_method":"spawn"}"#).startMethod == "spawn")
  }

  @Test func `workers that are never replaced can be asked for, whatever the template has`() throws
  {
    #expect(try read(#"{"maxtasksperchild":0}"#).callsPerWorkerMax == nil)
    #expect(try read(#"{"maxtasksperchild":1}"#).callsPerWorkerMax == 1)
    #expect(try read(#"{"maxtasksperchild":null}"#).callsPerWorkerMax == 9)
  }

  @Test func `a template with more workers than may be asked for gives as many as may be`() throws {
    var settings = Self.settings
    settings.pools[0].processes = 100
    #expect(try read("{}", settings).processes == 8)
  }

  @Test func `without a pool named default the only one is meant`() throws {
    var settings = Self.settings
    settings.pools.removeFirst()
    #expect(throws: Problem.self) { try read("{}", settings) }
    settings.pools.removeFirst()
    #expect(try read("{}", settings).template == "shell")
  }

  @Test(arguments: [
    ("[]", ""), ("7", ""), ("{", ""), (#"{"processes":1,"processes":1}"#, "/processes"),
    (#"{"a/b":1}"#, "/a~1b"), (#"{"paused":true}"#, "/paused"), (#"{"name":".."}"#, "/name"),
    (#"{"name":7}"#, "/name"), (#"{"processes":1e99}"#, "/processes"),
    (#"{"processes":true}"#, "/processes"), (#"{"maxtasksperchild":-1}"#, "/maxtasksperchild"),
    (#"{"template":"shell","start_method":"spawn"}"#, "/start_method"),
    (#"{"template":"shell","initializer":"a"}"#, "/initializer"),
    (#"{"template":"python","initializer":""}"#, "/initializer"),
    (#"{"template":"python","initializer":"a\u0000"}"#, "/initializer"),
    (#"{"template":"python","initargs":{}}"#, "/initargs"),
    (#"{"template":"python","initargs":[]}"#, "/initargs"),
    (#"{"template":"python","main":"a.py"}"#, "/main"),
    (#"{"idle_timeout":0.01}"#, "/idle_timeout"), (#"{"idle_timeout":-1}"#, "/idle_timeout"),
    (#"{"allow_pickle":"yes"}"#, "/allow_pickle"),
  ])
  func `a mistake is refused at its place`(text: String, pointer: String) throws {
    let problem = try #require(refusal(of: text))
    #expect(problem.status == 400 && problem.mistakes.map(\.pointer) == [pointer])
  }

  @Test(arguments: [
    (#"{"template":"nobody"}"#, Problem.Code.unknownPool, "/template"),
    (#"{"allow_pickle":true}"#, .pickleNotAllowed, "/allow_pickle"),
    (#"{"initializer":"own:begin"}"#, .unknownInitializer, "/initializer"),
    (#"{"initializer":"Warm","initargs":[1]}"#, .unknownInitializer, "/initializer"),
  ])
  func `what the configuration does not have is another refusal`(
    text: String, code: Problem.Code, pointer: String
  ) throws {
    let problem = try #require(refusal(of: text))
    #expect(problem.status == 422 && problem.code == code)
    #expect(problem.mistakes.map(\.pointer) == [pointer])
  }

  @Test func `workers of this program may be given any of its initializers`() throws {
    let asked = try read(#"{"initializer":"load","initargs":[ {"oar":1} ]}"#)
    #expect(asked.initializer == "load" && asked.initializerArguments == #"[{"oar":1}]"#)
    let detail = try #require(refusal(of: #"{"initializer":"lod"}"#)).detail
    #expect(detail == "this program has no initializer 'lod' (it has: load, warm)")
    // What workers that are another program have, nobody knows here.
    #expect(try read(#"{"template":"python","initializer":"lod"}"#).initializer == "lod")
  }

  @Test func `too many arguments of an initializer are refused`() throws {
    let text = String(repeating: "x", count: PoolReader.initargsBytesMax)
    let body = #"{"template":"python","initializer":"a","initargs":["\#(text)"]}"#
    #expect(refusal(of: body)?.mistakes.map(\.pointer) == ["/initargs"])
  }

  @Test func `a change is a size, a pause, both or neither`() throws {
    func change(_ text: String, configured: Int = 0) throws -> PoolReader.Change {
      try PoolReader.change(of: Array(text.utf8), Self.settings.limits, configured: configured)
    }
    let both = try change(#"{"processes":8,"paused":false}"#)
    #expect(both.processes == 8 && both.isPaused == false)
    let neither = try change("{}")
    #expect(neither.processes == nil && neither.isPaused == nil)
    #expect(throws: Problem.self) { try change(#"{"processes":9}"#) }
    #expect(try change(#"{"processes":9}"#, configured: 9).processes == 9)
    #expect(throws: Problem.self) { try change(#"{"name":"x"}"#) }
  }

  @Test func `a created pool has the initializer of its template, or the one asked for`() throws {
    var settings = Self.settings
    settings.pools[0].initializer = "warm"
    settings.pools[0].initializerArguments = "[1]"
    func made(_ text: String) throws -> Settings.Pool {
      try #require(settings.pool(of: try read(text, settings), processes: 1, startsWhole: true))
    }
    let inherited = try made(#"{"processes":2}"#)
    #expect(inherited.initializer == "warm" && inherited.initializerArguments == "[1]")
    let same = try made(#"{"initializer":"warm"}"#)
    #expect(same.initializer == "warm" && same.initializerArguments == "[]")
    let other = try made(#"{"initializer":"load","initargs":[2]}"#)
    #expect(other.initializer == "load" && other.initializerArguments == "[2]")
    #expect(other.worker == nil)
    let python = try made(#"{"template":"python","initializer":"m:f"}"#)
    #expect(python.initializer == nil && python.worker?.initializer == "m:f")
  }

  @Test func `a created pool is its template, and what its client asked for`() throws {
    var asked = try read(#"{"name":"mine","template":"python","processes":5}"#)
    let plain = try #require(Self.settings.pool(of: asked, processes: 4, startsWhole: true))
    #expect(plain.name == "mine" && plain.kind == "python" && plain.processes == 4)
    #expect(plain.startsWhole && plain.worker?.initializer == "own:begin")
    #expect(plain.worker?.allowsPickle == false && plain.worker?.allowsMain == true)
    asked.initializer = "m:f"
    asked.initializerArguments = "[1]"
    asked.allowsPickle = true
    let other = try #require(Self.settings.pool(of: asked, processes: 4, startsWhole: false))
    #expect(other.worker?.initializer == "m:f" && other.worker?.initializerArguments == "[1]")
    #expect(other.worker?.allowsPickle == true)
    asked.template = "gone"
    #expect(Self.settings.pool(of: asked, processes: 4, startsWhole: false) == nil)
  }
}
