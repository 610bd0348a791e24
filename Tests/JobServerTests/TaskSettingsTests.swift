import JobCore
import Multiprocessing
import Testing

@testable import JobServer

/// `tasks` in the configuration file: programs and limits, and what is refused.
@Suite struct TaskSettingsTests {
  private let folder = TemporaryFolder()

  private func settings(_ yaml: String) throws -> Settings {
    let path = folder.file("lido.yaml", yaml)
    return try SettingSources.join(flags: [.config: path], environment: [:])
  }

  private func refusal(_ yaml: String) -> String? {
    do {
      _ = try settings(yaml)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test func `a program with everything`() throws {
    let settings = try settings(
      """
      tasks:
        thumbnail:
          exec: [convert, "{0}", -resize, "{size}", "png:-"]
          pool: pictures
          result: bytes
          content_type: image/png
          stdin: none
          environment: { OMP_NUM_THREADS: 1, NOTE: "a b" }
          inherit: [LC_ALL]
          log: 4KiB
          timeout: 30
          cpu: 1.5
          memory: 512MiB
          open_files: 64
          output: 1MiB
      pools:
        pictures: { processes: 3 }
      """)
    let task = try #require(settings.tasks.first)
    #expect(task.name == "thumbnail")
    #expect(task.timeout == 30_000)
    #expect(task.cpuMicroseconds == 1_500_000)
    #expect(task.memoryBytes == 512 << 20)
    #expect(task.openFilesMax == 64)
    #expect(task.outputBytesMax == 1 << 20)
    #expect(task.rule == TaskRule(timeout: 30_000, isExclusive: true))
    let program = try #require(task.program)
    #expect(program.pool == "pictures")
    #expect(program.result == .bytes(contentType: "image/png"))
    #expect(program.input == .nothing)
    #expect(program.environment == ["OMP_NUM_THREADS": "1", "NOTE": "a b"])
    #expect(program.inherited == ["LC_ALL"])
    #expect(program.logBytesMax == 4_096)
    #expect(
      try program.arguments.arguments(args: #"["a b.jpg"]"#, kwargs: #"{"size":"9x9"}"#)
        == ["convert", "a b.jpg", "-resize", "9x9", "png:-"])
    #expect(settings.pools.map(\.name) == ["default", "pictures"])
    #expect(settings.pools[1].runsPrograms && settings.pools[1].processes == 3)
    #expect(!settings.pools[0].runsPrograms)
  }

  @Test func `a program with as little as can be`() throws {
    let settings = try settings("tasks: { count: { exec: [wc, -l] } }\n")
    let program = try #require(settings.tasks.first?.program)
    #expect(program.result == .text && program.input == .arguments)
    #expect(program.pool == "programs" && program.logBytesMax == 1 << 20)
    #expect(settings.tasks[0].rule == nil)
    #expect(settings.pools.map(\.name) == ["default", "programs"])
  }

  @Test func `arguments and input together use what a job gives`() throws {
    let settings = try settings(
      #"tasks: { grep: { exec: [grep, -e, "{0}"], stdin: "{1}" } }"# + "\n")
    let program = try #require(settings.tasks.first?.program)
    #expect(program.input == .lastArgument)
    #expect(
      try program.arguments.arguments(args: #"["x","text"]"#, kwargs: "")
        == ["grep", "-e", "x", "text"])
  }

  @Test func `only what finds its arguments on stdin takes any`() throws {
    let settings = try settings(
      """
      tasks:
        all: { exec: [cat] }
        none: { exec: [date], stdin: none }
        some: { exec: [cat], stdin: "{0}" }
      """)
    let programs = settings.tasks.compactMap(\.program)
    #expect(programs.map(\.arguments.takesAny) == [true, false, false])
    #expect(settings.tasks.map { $0.place.hasSuffix("lido.yaml:2") } == [true, false, false])
  }

  @Test func `a result is held against the bound in force, wherever it comes from`() throws {
    let path = folder.file("lido.yaml", "tasks: { a: { output: 9MiB } }\nmax_body: 1MiB\n")
    let flags: [Setting: String] = [.config: path, .maxBody: "9MiB"]
    #expect(
      try SettingSources.join(flags: flags, environment: [:]).tasks[0].outputBytesMax == 9 << 20)
  }

  @Test(arguments: [
    "processes: 3\npools: { default: { processes: 2 } }\n",
    "pools: { default: { start_method: spawn } }\nstart_method: forkserver\n",
    "maxtasksperchild: 0\npools: { default: { maxtasksperchild: 9 } }\n",
  ])
  func `one key of the pool default in two places is refused`(yaml: String) throws {
    let refusal = try #require(self.refusal(yaml))
    #expect(refusal.contains("lido.yaml:1") && refusal.contains("lido.yaml:2"), "\(refusal)")
    #expect(refusal.contains("it is that of the pool 'default'"), "\(refusal)")
  }

  @Test func `limits of a task that workers announce`() throws {
    let settings = try settings("tasks: { factorial: { timeout: 2s, output: 1KiB } }\n")
    #expect(settings.tasks[0].program == nil)
    #expect(settings.tasks[0].rule == TaskRule(timeout: 2_000))
    #expect(settings.tasks[0].limits == TaskLimits())
    #expect(settings.pools.map(\.name) == ["default"])
  }

  @Test(arguments: [
    ("tasks: [a]", "expected names"),
    ("tasks: { a: 3 }", "a: expected a task's settings"),
    ("tasks: { a: { exec: ls } }", "exec: expected a list, like [convert, "),
    ("tasks: { a: { exec: [] } }", "the program to run is missing"),
    ("tasks: { a: { exec: [\"{0}\"] } }", "exec: entry 1, character 1: the program must not"),
    ("tasks: { a: { exec: [ls, \"{0\"] } }", "exec: entry 2, character 1: \"{\" is not closed"),
    ("tasks: { a: { exec: [ls, [x]] } }", "exec: expected texts only"),
    ("tasks: { a: { exec: [ls], colour: red } }", "unknown key 'colour'; a task has exec, pool"),
    ("tasks: { a: { exec: [ls], timout: 3 } }", "unknown key 'timout' (did you mean timeout?); a"),
    ("procesess: 2", "unknown key 'procesess' (did you mean processes?); the keys are: listen"),
    ("task: {}", "unknown key 'task' (did you mean tasks?); "),
    ("tasks: { a: { pool: x } }", "pool: only a task with 'exec' has it"),
    ("tasks: { a: { exec: [ls], pool: default } }", "the pool 'default' runs this program's own"),
    ("tasks: { a: { exec: [ls], pool: 'a b' } }", "'a b' is not a pool's name"),
    ("tasks: { a: { exec: [ls], result: xml } }", "result: 'xml' is not one of json, text, bytes"),
    ("tasks: { a: { exec: [ls], content_type: a/b } }", "only a task with 'result: bytes'"),
    ("tasks: { a: { exec: [ls], result: json, content_type: a/b } }", "'result: bytes' has it"),
    ("tasks: { a: { exec: [ls], result: bytes, content_type: png } }", "'png' is no media type"),
    ("tasks: { a: { exec: [ls], stdin: file } }", "stdin: expected arguments, none, or a text"),
    ("tasks: { a: { exec: [ls], stdin: 'x{' } }", "stdin: entry 2, character 2: \"{\" is not"),
    ("tasks: { a: { exec: [ls], environment: [A] } }", "environment: expected variables"),
    ("tasks: { a: { exec: [ls], environment: { 1A: x } } }", "'1A' is not a variable's name"),
    ("tasks: { a: { exec: [ls], environment: { A: [] } } }", "environment: A: expected a text"),
    ("tasks: { a: { exec: [ls], inherit: ['A=B'] } }", "'A=B' is not a variable's name"),
    ("tasks: { a: { exec: [ls], log: 1 } }", "log: '1' is not a size from 2"),
    ("tasks: { a: { exec: [ls], log: 17MiB } }", "log: '17MiB' is not a size from 2"),
    ("tasks: { a: { timeout: 0 } }", "timeout: '0' is not a time"),
    ("tasks: { a: { cpu: 1ms } }", "cpu: '1ms' is not a time from 10 ms"),
    ("tasks: { a: { memory: 1KiB } }", "memory: '1KiB' is not a size from 1048576"),
    ("tasks: { a: { open_files: 3 } }", "open_files: '3' is not a number from 8"),
    ("tasks: { a: { output: 0 } }", "output: '0' is not a size from 1"),
    ("tasks: { a: { exec: [ls] } }\npools: { programs: { maxtasksperchild: 9 } }", "no meaning"),
    ("tasks: { a: { exec: [ls] } }\npools: { programs: { start_method: spawn } }", "no meaning"),
    ("tasks: { a: { exec: [ls], stdin: '{{0}}' } }", "stdin: expected arguments, none, or a text"),
    ("tasks: { a: { exec: [ls], environment: { HOME: x } } }", "'HOME' is a variable that the"),
    ("tasks: { a: { exec: [ls], environment: { LIDO_TASK: x } } }", "that the service sets"),
    ("tasks: { a: { exec: [ls], inherit: [A, TMPDIR] } }", "'TMPDIR' is a variable that the"),
    ("tasks: { a: { exec: [ls], output: 9MiB } }", "output: 9437184 bytes are more than a result"),
    ("tasks: { a: { output: 2KiB } }\nmax_body: 1KiB", "a result may have, 1024 bytes"),
  ])
  func `what cannot be is refused with its place`(yaml: String, mention: String) throws {
    let refusal = try #require(self.refusal(yaml + "\n"), "\(yaml)")
    #expect(refusal.contains(mention), "\(refusal)")
    let line = mention == "no meaning" ? 2 : 1
    #expect(refusal.contains("lido.yaml:\(line): "), "\(refusal)")
  }
}
