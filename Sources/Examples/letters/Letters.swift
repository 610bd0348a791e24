import Glibc
import Multiprocessing

/// Three workers, each of which prints a letter. Nobody waits for them in so many words: the end of
/// `main` does.
@main
enum Letters {
  static let letter = TaskDefinition<String, NoResult>("letter") { letter in
    usleep(100_000)
    print(letter)
    return NoResult()
  }

  static func main() throws {
    bootstrap([letter])
    print("Starting")
    for name in ["A", "B", "C"] {
      try Process(letter, name).start()
    }
    print("Done")
  }
}
