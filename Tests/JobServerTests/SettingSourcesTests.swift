import JobCore
import JobStorage
import Multiprocessing
import Testing

@testable import JobServer

@Suite struct SettingSourcesTests {
  private let folder = TemporaryFolder()

  private func refusal(
    flags: [Setting: String] = [:], environment: [String: String] = [:]
  ) -> SettingError? {
    do throws(SettingError) {
      _ = try SettingSources.join(flags: flags, environment: environment)
      return nil
    } catch {
      return error
    }
  }

  @Test func `flag over environment over file over default`() throws {
    let path = folder.file("lido.yaml", "processes: 1\nmax_queued: 11\nsync: never\n")
    let environment = ["LIDO_CONFIG": path, "LIDO_PROCESSES": "2", "LIDO_MAX_QUEUED": "12"]
    let settings = try SettingSources.join(flags: [.processes: "3"], environment: environment)
    #expect(settings.defaultPool.processes == 3)
    #expect(settings.limits.openJobsMax == 12)
    #expect(settings.sync == .never)
    #expect(settings.shutdownGrace == Settings().shutdownGrace)
    #expect(settings.configFile == path)
  }

  @Test func `the file of the flag is read, not that of the environment`() throws {
    let path = folder.file("lido.yaml", "processes: 5\n")
    let settings = try SettingSources.join(
      flags: [.config: path], environment: ["LIDO_CONFIG": "/nowhere"])
    #expect(settings.defaultPool.processes == 5)
  }

  @Test func `without anything everything has its default`() throws {
    #expect(try SettingSources.join(flags: [:], environment: ["PATH": "/bin"]) == Settings())
  }

  @Test func `an error says where the value stands`() {
    #expect(refusal(flags: [.sync: "x"])?.source == "--sync")
    #expect(refusal(environment: ["LIDO_MAX_BODY": "x"])?.source == "LIDO_MAX_BODY")
    let hidden = refusal(flags: [.sync: "always"], environment: ["LIDO_SYNC": "x"])
    #expect(hidden == nil, "what is not in force is not read")
  }

  @Test(arguments: [
    ("LIDO_PROCESESS", "did you mean LIDO_PROCESSES?"), ("LIDO_LISTN", "LIDO_LISTEN?"),
    ("LIDO_MAX_TASKS_PER_CHILD", "LIDO_MAXTASKSPERCHILD?"), ("LIDO_DATE", "LIDO_DATA?"),
    ("LIDO_COLOUR", "no such setting; the settings are: "), ("LIDO_", "LIDO_SHUTDOWN_GRACE"),
    ("LIDO_sync", "LIDO_SYNC"), ("LIDO_PORT", "LIDO_PORT_FILE"),
  ])
  func `a variable that is no setting is refused`(name: String, mention: String) {
    let error = refusal(environment: [name: "9000"])
    #expect(error?.source == name)
    #expect(error?.reason.contains(mention) == true, "\(error?.reason ?? "")")
    for setting in Setting.allCases {
      #expect(error?.reason.contains(setting.variable) == true)
    }
  }

  @Test func `a client's token is refused with what protects the service`() {
    let error = refusal(environment: ["LIDO_TOKEN": "x", "LIDO_URL": "x", "LIDO_POOL": "x"])
    #expect(error?.source == "LIDO_TOKEN")
    #expect(error?.reason.contains("LIDO_TOKENS or --token-file") == true)
  }

  @Test func `the variables of others are left alone`() {
    var environment = Dictionary(uniqueKeysWithValues: ForeignVariables.known.map { ($0, "x") })
    environment["LIDOS"] = "x"
    environment["XLIDO_A"] = "x"
    #expect(refusal(environment: environment) == nil)
    // What Kubernetes makes for services named `lido` and `lido-metrics`.
    environment = [
      "LIDO_SERVICE_HOST": "10.0.0.1", "LIDO_SERVICE_PORT": "80", "LIDO_SERVICE_PORT_HTTP": "80",
      "LIDO_PORT": "tcp://10.0.0.1:80", "LIDO_PORT_80_TCP": "tcp://10.0.0.1:80",
      "LIDO_PORT_80_TCP_PROTO": "tcp", "LIDO_PORT_80_TCP_PORT": "80",
      "LIDO_PORT_80_TCP_ADDR": "10.0.0.1", "LIDO_METRICS_SERVICE_HOST": "10.0.0.2",
      "LIDO_METRICS_PORT": "udp://10.0.0.2:9",
    ]
    #expect(refusal(environment: environment) == nil)
  }

  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("", "ab", 2), ("abc", "abc", 0), ("abc", "axc", 1),
    ("abc", "bc", 1), ("kitten", "sitting", 3),
  ])
  func `the distance of names`(left: String, right: String, distance: Int) {
    #expect(Spelling.distance(left, right) == distance)
    #expect(Spelling.distance(right, left) == distance)
  }

  @Test(arguments: [
    ("wrker", " (did you mean worker?)"), ("logs", " (did you mean log?)"), ("cpu", ""),
    ("x", ""), ("", ""), ("worker_programs", ""),
  ])
  func `a name that is much like another is taken for that`(name: String, hint: String) {
    #expect(Spelling.hint(for: name, among: ["worker", "log", "processes"]) == hint)
    #expect(Spelling.hint(for: name, among: []) == "")
  }

  // MARK: The file

  @Test func `a file sets everything that has a key, and pools`() throws {
    let path = folder.file(
      "lido.yaml",
      """
      # A comment.
      listen: 0.0.0.0:80
      retention_age: 48h
      maxtasksperchild: 5
      pools:
        default: { processes: 3 }
        second: { processes: auto, start_method: spawn, maxtasksperchild: 7 }
        third:
      """)
    var settings = Settings()
    try ConfigurationFile.read(path, into: &settings)
    #expect(settings.host == "0.0.0.0" && settings.port == 80)
    #expect(settings.limits.retentionAge == 172_800_000)
    #expect(
      settings.pools == [
        Settings.Pool(name: "default", processes: 3, maxTasksPerChild: 5),
        Settings.Pool(name: "second", startMethod: .spawn, maxTasksPerChild: 7),
        Settings.Pool(name: "third"),
      ])
  }

  @Test(arguments: ["", "# nothing\n", "pools: {}\n"])
  func `a file that sets nothing changes nothing`(text: String) throws {
    var settings = Settings()
    try ConfigurationFile.read(folder.file("lido.yaml", text), into: &settings)
    #expect(settings == Settings())
  }

  @Test(arguments: [
    ("# a comment\nsync: always\nprocesses: none\n", 3, "auto"),
    ("sync: always\nprocesess: 2\n", 2, "processes"), ("config: other.yaml\n", 1, "the keys are"),
    ("processes: [1, 2]\n", 1, "one value"), ("sync: { a: b }\n", 1, "one value"),
    ("pools:\n  default:\n    processes: no\n", 3, "auto"),
    ("pools: { default: { size: 2 } }\n", 1, "maxtasksperchild"),
    ("pools: { 'a b': { processes: 2 } }\n", 1, "A-Z"), ("pools: [a]\n", 1, "expected names"),
    ("pools:\n  default: 3\n", 2, "a pool's settings"),
    ("pools:\n  default: { start_method: fork }\n", 2, "forkserver"),
    ("data: ~\n", 1, "empty"), ("sync: always\ndata: null\n", 2, "empty"),
    ("data:\n", 1, "empty"), ("listen: ~\n", 1, "127.0.0.1:8080"),
    ("port_file: NULL\n", 1, "empty"),
    ("pools: { default: { processes: ~ } }\n", 1, "auto"), ("pools: ~\n", 1, "expected names"),
    ("data: ~/lido\n", 1, "~ is not expanded"), ("sync: Null\n", 1, "always"),
  ])
  func `what is wrong in a file is refused with its line`(text: String, line: Int, right: String) {
    let path = folder.file("lido.yaml", text)
    var settings = Settings()
    let error = #expect(throws: SettingError.self) {
      try ConfigurationFile.read(path, into: &settings)
    }
    #expect(error?.source == "\(path):\(line)")
    #expect(error?.reason.contains(right) == true, "\(error?.reason ?? "")")
  }

  @Test(arguments: [
    ("just text\n", "listen"), ("processes: [1\nsync: {\n", "YAML"), ("[1, 2]\n", "listen"),
    ("processes: 1\nprocesses: 2\n", "processes"),
  ])
  func `a file that holds no keys is refused`(text: String, mention: String) {
    var settings = Settings()
    let error = #expect(throws: SettingError.self) {
      try ConfigurationFile.read(folder.file("lido.yaml", text), into: &settings)
    }
    #expect(error?.description.contains(mention) == true, "\(error?.description ?? "")")
    #expect(error?.source.hasPrefix(folder.path) == true)
  }

  @Test func `a file that is not there is refused`() {
    #expect(refusal(flags: [.config: "/nowhere/a.yaml"])?.source == "/nowhere/a.yaml")
    #expect(
      refusal(flags: [.config: folder.path])?.description
        == "\(folder.path): cannot be read: Is a directory")
  }

  // MARK: The port file

  @Test func `a port file is written whole and checked without a trace`() throws {
    let path = "\(folder.path)/port"
    try PortFile.check(path)
    #expect(folder.names == [])
    try PortFile.write(8080, to: path)
    #expect(folder.text(of: "port") == "8080\n" && folder.names == ["port"])
    try PortFile.check(path)
    #expect(folder.text(of: "port") == "8080\n", "a check changes nothing")
    PortFile.remove(path)
    #expect(folder.names == [])
  }

  @Test func `a port file that cannot be written is refused`() {
    let file = folder.file("file", "")
    for (path, reason) in [
      ("/nowhere/port", "No such file or directory"), (file + "/port", "Not a directory"),
      (folder.path, "it is a folder"), ("/proc/port", "No such file or directory"),
    ] {
      let error = #expect(throws: PortFile.Unwritable.self) { try PortFile.check(path) }
      #expect(error?.reason == reason, "\(path)")
    }
    #expect(throws: PortFile.Unwritable.self) { try PortFile.write(1, to: "/nowhere/port") }
    #expect(folder.names == ["file"])
  }
}
