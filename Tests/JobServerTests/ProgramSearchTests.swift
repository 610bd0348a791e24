import Glibc
import JobCore
import Multiprocessing
import Testing

@testable import JobServer

/// Which programs are warned of at the start.
@Suite struct ProgramSearchTests {
  private let folder = TemporaryFolder()

  private func place(_ name: String, mode: mode_t) -> String {
    let path = folder.file(name, "#!/bin/sh\n")
    #expect(chmod(path, mode) == 0)
    return path
  }

  private func folderPath(of path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
  }

  @Test func `a bare name is found by the path`() {
    let path = place("tool", mode: 0o755)
    #expect(ProgramSearch.fault(of: "tool", path: "/nowhere:\(folderPath(of: path))") == nil)
    #expect(ProgramSearch.fault(of: path, path: "") == nil)
    #expect(
      ProgramSearch.fault(of: "other", path: "/nowhere:/usr") == "it is in none of /nowhere:/usr")
  }

  @Test func `what is there and cannot be executed is told`() throws {
    let path = place("plain", mode: 0o644)
    let folder = folderPath(of: path)
    for (name, search) in [("plain", folder), (path, "")] {
      let fault = try #require(ProgramSearch.fault(of: name, path: search))
      #expect(fault.contains("it may not be executed"), "\(fault)")
    }
    #expect(ProgramSearch.fault(of: folder, path: "") == "it is no file")
    #expect(ProgramSearch.fault(of: "/nowhere/x", path: "") == "there is no such file")
  }

  @Test func `a relative path, or a folder that is one, is never found`() throws {
    for name in ["./tool", "bin/tool", "../tool"] {
      let fault = try #require(ProgramSearch.fault(of: name, path: "/bin"))
      #expect(fault.hasPrefix("a relative path"), "\(fault)")
    }
    #expect(ProgramSearch.fault(of: "sh", path: ".::bin") != nil)
  }

  @Test func `the path is the task's own, the service's, or the usual one`() throws {
    var program = ProgramSettings("ls", arguments: try ArgumentTemplate(["ls"]))
    let service = ["PATH": "/service"]
    #expect(program.path(in: service) == ProgramSettings.defaultPath)
    program.inherited = ["PATH"]
    #expect(program.path(in: service) == "/service")
    #expect(program.path(in: [:]) == ProgramSettings.defaultPath)
    program.environment["PATH"] = "/own"
    #expect(program.path(in: service) == "/own")
  }
}
