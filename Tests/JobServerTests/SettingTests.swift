import ArgumentParser
import JobCore
import JobStorage
import Multiprocessing
import Testing

@testable import JobServer

@Suite struct SettingTests {
  @Test(arguments: Setting.allCases)
  func `the default in the help is the default in force`(setting: Setting) throws {
    let stated = try #require(setting.help.split(separator: "(default: ").last)
    #expect(setting.help.hasSuffix(")"))
    let text = String(stated.dropLast())
    var settings = Settings()
    if text != "none" { try setting.read(text, into: &settings) }
    #expect(settings == Settings())
  }

  @Test(arguments: Setting.allCases)
  func `flag, variable and key are one name`(setting: Setting) {
    let words = setting.rawValue.split(separator: "-")
    #expect(setting.key == words.joined(separator: "_"))
    #expect(setting.variable == "LIDO_" + words.map { $0.uppercased() }.joined(separator: "_"))
    #expect(!setting.placeholder.isEmpty)
  }

  @Test func `every setting is a flag`() throws {
    var arguments: [String] = []
    for setting in Setting.allCases { arguments += ["--\(setting.rawValue)", "v-\(setting.key)"] }
    let flags = try ServeCommand.parse(arguments).flags
    #expect(flags == Dictionary(uniqueKeysWithValues: Setting.allCases.map { ($0, "v-\($0.key)") }))
    #expect(try ServeCommand.parse([]).flags.isEmpty)
    let help = ServeCommand.helpMessage(columns: 1_000)
    for setting in Setting.allCases {
      let isSwitch = setting == .insecure || setting == .allowPickle
      let value = isSwitch ? "[<true|false>]" : "<\(setting.placeholder)>"
      #expect(help.contains("--\(setting.rawValue) \(value)"))
      #expect(help.contains("[\(setting.variable)]"))
    }
  }

  @Test(arguments: [
    (["--insecure"], "true"), (["--insecure", "--listen", "0.0.0.0:80"], "true"),
    (["--insecure=false"], "false"), (["--insecure", "false"], "false"), (["--sync", "5"], nil),
  ])
  func `insecure is a flag that may have a value`(arguments: [String], value: String?) throws {
    #expect(try ServeCommand.parse(arguments).flags[.insecure] == value)
  }

  typealias Value = (setting: Setting, text: String, isInForce: @Sendable (Settings) -> Bool)

  private static let values: [Value] = [
    (.listen, "0.0.0.0:80", { $0.host == "0.0.0.0" && $0.port == 80 }),
    (.listen, "[::1]:81", { $0.host == "::1" && $0.port == 81 }),
    (.listen, "[::1]", { $0.host == "::1" && $0.port == 8080 }),
    (.listen, "::1", { $0.host == "::1" && $0.port == 8080 }),
    (.listen, "localhost", { $0.host == "localhost" && $0.port == 8080 }),
    (.listen, ":0", { $0.host == "127.0.0.1" && $0.port == 0 }),
    (.data, "/var/lib/lido", { $0.directory == "/var/lib/lido" }),
    (.config, "a.yaml", { $0.configFile == "a.yaml" }),
    (.portFile, "port", { $0.portFile == "port" }),
    (.processes, "7", { $0.defaultPool.processes == 7 }),
    (.processes, "auto", { $0.defaultPool.processes == nil }),
    (.startMethod, "spawn", { $0.defaultPool.startMethod == .spawn }),
    (.maxTasksPerChild, "10", { $0.defaultPool.maxTasksPerChild == 10 }),
    (.maxTasksPerChild, "0", { $0.defaultPool.maxTasksPerChild == nil }),
    (.sync, "always", { $0.sync == .always }), (.sync, "never", { $0.sync == .never }),
    (.sync, "20", { $0.sync == .every(milliseconds: 20) }),
    (.snapshotInterval, "2m", { $0.snapshotInterval == 120_000 }),
    (.maxBody, "1MiB", { $0.bodyBytesMax == 1 << 20 }),
    (.maxConnections, "100", { $0.connectionsMax == 100 }),
    (.maxHeader, "16KiB", { $0.headerBytesMax == 16_384 }),
    (.headerTimeout, "2.5", { $0.headerTimeout == 2_500 }),
    (.bodyTimeout, "10m", { $0.bodyTimeout == 600_000 }),
    (.maxQueued, "12", { $0.limits.openJobsMax == 12 }),
    (.maxPools, "0", { $0.limits.poolsMax == 0 }),
    (.maxProcesses, "12", { $0.limits.poolProcessesMax == 12 }),
    (.maxQueuedBytes, "64KiB", { $0.limits.openBytesMax == 65_536 }),
    (.retentionAge, "48h", { $0.limits.retentionAge == 172_800_000 }),
    (.retentionCount, "0", { $0.limits.retentionJobsMax == 0 }),
    (.retentionBytes, "0", { $0.limits.retentionBytesMax == 0 }),
    (.shutdownGrace, "500ms", { $0.shutdownGrace == 500 }),
    (.tokenFile, "tokens", { $0.tokenFile == "tokens" }),
    (.insecure, "true", { $0.isInsecure }), (.insecure, "false", { !$0.isInsecure }),
    (.allowPickle, "true", { $0.allowsPickle }), (.allowPickle, "1", { $0.allowsPickle }),
    (.allowPickle, "0", { !$0.allowsPickle }),
    (.logLevel, "debug", { $0.logLevel == "debug" }),
    (.logFormat, "json", { $0.logFormat == .json }),
    (.logFormat, "text", { $0.logFormat == .text }),
  ]

  @Test func `every setting does what it says`() throws {
    for value in Self.values {
      var settings = Settings()
      try value.setting.read(value.text, into: &settings)
      #expect(value.isInForce(settings), "\(value.setting) \(value.text)")
    }
    #expect(Set(Self.values.map(\.setting)) == Set(Setting.allCases))
  }

  @Test(
    arguments: [
      (.listen, "127.0.0.1:99999", "127.0.0.1:8080"), (.listen, "nonsense:port", "8080"),
      (.listen, "a b:1", "8080"), (.listen, "http://a:1", "8080"), (.listen, "", "8080"),
      (.listen, "8090", "did you mean 127.0.0.1:8090?"), (.listen, "foo:80", "localhost"),
      (.listen, "127.1:80", "127.0.0.1"), (.listen, "[::g]:80", "[::1]"), (.listen, "x", "[::1]"),
      (.data, "", "path"), (.data, "~", "write the whole path"), (.data, "~/lido", "~ is not"),
      (.config, "~/lido.yaml", "whole path"), (.portFile, "~/port", "whole path"),
      (.config, "", "path"), (.portFile, "", "path"), (.processes, "0", "1000"),
      (.processes, "many", "auto"), (.processes, "1001", "1000"), (.startMethod, "thread", "spawn"),
      (.startMethod, "fork", "forkserver"), (.maxTasksPerChild, "-1", "from 0"),
      (.maxTasksPerChild, "5000000000", "to 1000000000"), (.sync, "-5", "always"),
      (.sync, "sometimes", "always"), (.snapshotInterval, "99ms", "100 ms"),
      (.snapshotInterval, "soon", "24h"), (.maxBody, "1023", "1024"),
      (.maxBody, "2GiB", "to 1073741824 bytes"),
      (.maxQueuedBytes, "2000000GiB", "to 1000000000000000 bytes"),
      (.snapshotInterval, "37001d", "100 ms to 37000d"), (.maxBody, "big", "MiB"),
      (.maxConnections, "0", "from 1"), (.maxHeader, "1KiB", "from 4096 to 1048576"),
      (.headerTimeout, "0", "from 100 ms"), (.bodyTimeout, "soon", "24h"),
      (.maxQueued, "0", "from 1"), (.maxPools, "256", "to 255"), (.maxProcesses, "0", "from 1"),
      (.maxQueued, "1.5", "from 1"), (.maxQueuedBytes, "1", "1024"),
      (.retentionAge, "0.5", "1000 ms"), (.retentionAge, "1y", "24h"),
      (.retentionCount, "-3", "from 0"), (.retentionBytes, "lots", "MiB"),
      (.tokenFile, "", "path"), (.tokenFile, "~/tokens", "whole path"),
      (.allowPickle, "2", "true nor false"), (.allowPickle, "", "true"),
      (.insecure, "1", "true nor false"), (.insecure, "", "true"), (.insecure, "yes", "false"),
      (.shutdownGrace, "-1", "0 ms"), (.logLevel, "loud", "debug"),
      (.logFormat, "xml", "text, json"), (.logFormat, "JSON", "text, json"),
    ] as [(Setting, String, String)])
  func `a wrong value is refused with what would be right`(
    setting: Setting, text: String, right: String
  ) {
    var settings = Settings()
    let invalid = #expect(throws: Setting.InvalidValue.self) {
      try setting.read(text, into: &settings)
    }
    #expect(invalid?.reason.contains(right) == true, "\(invalid?.reason ?? "")")
    #expect(text.isEmpty || invalid?.reason.contains(text) == true, "\(invalid?.reason ?? "")")
    #expect(settings == Settings())
  }
}
