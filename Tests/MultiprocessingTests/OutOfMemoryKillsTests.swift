import Glibc
import Testing

@testable import Multiprocessing

/// A machine with counts that the test writes, in a folder of its own.
private final class FakeMachine {
  let root: String

  init() {
    var template = Array("/tmp/lido-oom-XXXXXX".utf8CString)
    root = String(cString: mkdtemp(&template)!)
    for folder in ["proc/self", "groups/memory/a/b", "groups/slice/lido"] {
      var path = root
      for part in folder.split(separator: "/") {
        path += "/\(part)"
        mkdir(path, 0o755)
      }
    }
  }

  deinit {
    for file in files { unlink("\(root)/\(file)") }
    for folder in [
      "proc/self", "proc", "groups/memory/a/b", "groups/memory/a", "groups/memory",
      "groups/slice/lido", "groups/slice", "groups", "",
    ] { rmdir("\(root)/\(folder)") }
  }

  private var files: Set<String> = []

  func write(_ file: String, _ text: String) {
    files.insert(file)
    let descriptor = open("\(root)/\(file)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    let bytes = Array(text.utf8)
    _ = Glibc.write(descriptor, bytes, bytes.count)
    close(descriptor)
  }

  var folders: OutOfMemoryKills.Folders {
    .init(process: root + "/proc", controlGroups: root + "/groups")
  }
}

@Suite struct OutOfMemoryKillsTests {
  private let machine = FakeMachine()
  private let second: UInt64 = 1_000_000_000

  private func group(_ kills: Int) {
    machine.write(
      "groups/slice/lido/memory.events",
      "low 0\nhigh 3\nmax 9\noom 4\noom_kill \(kills)\noom_group_kill 9\n")
  }

  @Test func `the own group's count goes before the machine's`() {
    machine.write("proc/self/cgroup", "0::/slice/lido\n")
    machine.write("proc/vmstat", "nr_free_pages 1\noom_kill 5\n")
    group(2)
    let kills = OutOfMemoryKills(machine.folders)
    #expect(kills.scope == .controlGroup)
    machine.write("proc/vmstat", "nr_free_pages 1\noom_kill 6\n")
    #expect(!kills.claim(at: second))
    group(3)
    #expect(kills.claim(at: second))
  }

  @Test func `version 1, with the group's path or mounted as the root`() {
    machine.write("proc/self/cgroup", "5:cpu,memory:/a/b\n0::/\n")
    machine.write("groups/memory/a/b/memory.oom_control", "under_oom 0\noom_kill 0\n")
    machine.write("groups/memory/memory.oom_control", "under_oom 0\noom_kill 0\n")
    let exact = OutOfMemoryKills(machine.folders)
    machine.write("groups/memory/memory.oom_control", "under_oom 0\noom_kill 1\n")
    #expect(!exact.claim(at: 0))
    machine.write("groups/memory/a/b/memory.oom_control", "under_oom 0\noom_kill 1\n")
    #expect(exact.claim(at: 0))
    machine.write("proc/self/cgroup", "4:memory:/docker/2f1e\n")
    let mounted = OutOfMemoryKills(machine.folders)
    #expect(mounted.scope == .controlGroup)
    machine.write("groups/memory/memory.oom_control", "under_oom 0\noom_kill 2\n")
    #expect(mounted.claim(at: 0))
  }

  @Test func `without a count of the group, the machine's`() {
    machine.write("proc/self/cgroup", "0::/\n")
    machine.write("proc/vmstat", "oom_kill 5\n")
    let kills = OutOfMemoryKills(machine.folders)
    #expect(kills.scope == .machine)
    #expect(!kills.claim(at: 0))
    machine.write("proc/vmstat", "oom_kill 6\n")
    #expect(kills.claim(at: 0))
  }

  @Test func `without any count, nobody is said to be killed by the system`() {
    let kills = OutOfMemoryKills(machine.folders)
    #expect(kills.scope == .unknown)
    #expect(!kills.claim(at: 0))
  }

  @Test func `a kill explains one death, and two kills two`() {
    machine.write("proc/self/cgroup", "0::/slice/lido\n")
    group(0)
    let kills = OutOfMemoryKills(machine.folders)
    group(1)
    #expect(kills.claim(at: 0))
    #expect(!kills.claim(at: 0))
    group(3)
    #expect(kills.claim(at: 0))
    #expect(kills.claim(at: second))
    #expect(!kills.claim(at: second))
  }

  @Test func `a kill that was looked at explains no death later than a second`() {
    machine.write("proc/self/cgroup", "0::/slice/lido\n")
    group(0)
    let kills = OutOfMemoryKills(machine.folders)
    group(1)
    kills.look(at: 5 * second)
    #expect(!kills.claim(at: 6 * second + 1))
    group(2)
    kills.look(at: 7 * second)
    group(3)
    #expect(kills.claim(at: 9 * second))
    #expect(!kills.claim(at: 9 * second))
  }

  @Test func `this machine has a count`() {
    let kills = OutOfMemoryKills()
    #expect(kills.scope != .unknown)
  }
}
