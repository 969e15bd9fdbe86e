//! Where the files of each data set come from, and how to tell that they are whole.

use std::path::Path;

/// What a data set reads from the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the data set's row.
    pub name: &'static str,
    /// Its files; none when it has no direct addresses.
    pub files: &'static [File],
    /// Licence of the data.
    pub licence: &'static str,
    /// Origin, and how to get the files where there are no direct addresses.
    pub note: &'static str,
}

/// One file of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Where readers look for it, relative to the data directory. An archive (see [`File::is_archive`]) is to be
    /// unpacked in its own folder: readers look for what it holds.
    pub path: &'static str,
    /// Where it can be downloaded.
    pub url: &'static str,
    /// SHA-256 in lower-case hexadecimal of the content: of a plain `.gz`, of what it unpacks to, since the same
    /// data is packed differently by different hosts; of an archive, of the archive itself.
    pub sha256: Option<&'static str>,
    /// Length of that same content, in bytes.
    pub bytes: Option<u64>,
    /// Whether the address was tried; those that were not come from the documentation of the data set.
    pub tried: bool,
}

impl File {
    /// A `.tar.gz` or `.zip`, to be unpacked in its folder.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.path.ends_with(".tar.gz") || self.is_zip()
    }

    /// A `.gz` whose hash and length are those of what it unpacks to.
    #[must_use]
    pub fn is_gzip(&self) -> bool {
        !self.is_archive() && Path::new(self.path).extension().is_some_and(|e| e == "gz")
    }

    fn is_zip(&self) -> bool {
        Path::new(self.path).extension().is_some_and(|e| e == "zip")
    }
}

/// A file whose content is known.
const fn known(path: &'static str, url: &'static str, sha256: &'static str, bytes: u64) -> File {
    File { path, url, sha256: Some(sha256), bytes: Some(bytes), tried: false }
}

/// A file whose content was never seen.
const fn unseen(path: &'static str, url: &'static str) -> File {
    File { path, url, sha256: None, bytes: None, tried: false }
}

/// Of every data set that needs files, in order of the names.
#[must_use]
pub fn sources() -> Vec<Source> {
    SOURCES.to_vec()
}

/// The source of a data set, if it is listed.
#[must_use]
pub fn source(name: &str) -> Option<Source> {
    SOURCES.iter().find(|source| source.name == name).copied()
}

const LEAF_NOTE: &str = "LEAF (Caldas et al. 2018) publishes programs, not files: run its preprocess.sh and copy \
    data/train and data/test";

static SOURCES: &[Source] = &[
    Source {
        name: "cifar10",
        files: &[known(
            "cifar10/cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
        )],
        licence: "no licence stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        note: "binary version; hash as published by others",
    },
    Source {
        name: "cifar100",
        files: &[known(
            "cifar100/cifar-100-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            168_513_733,
        )],
        licence: "no licence stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        note: "binary version; hash as published by others",
    },
    Source {
        name: "cinic10",
        files: &[unseen(
            "cinic10/CINIC-10.tar.gz",
            "https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
        )],
        licence: "CC BY 4.0",
        note: "L. Darlow et al., CINIC-10, 2018: 270,000 images as PNG",
    },
    Source {
        name: "emnist",
        files: &[unseen("emnist/gzip.zip", "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip")],
        licence: "public domain (NIST)",
        note: "G. Cohen et al., EMNIST, 2017: all six splits in one archive of about 536 MB",
    },
    Source {
        name: "fashion_mnist",
        files: &[
            known(
                "fashion_mnist/train-images-idx3-ubyte.gz",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/train-images-idx3-ubyte.gz",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                47_040_016,
            ),
            known(
                "fashion_mnist/train-labels-idx1-ubyte.gz",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/train-labels-idx1-ubyte.gz",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                60_008,
            ),
            known(
                "fashion_mnist/t10k-images-idx3-ubyte.gz",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/t10k-images-idx3-ubyte.gz",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                7_840_016,
            ),
            known(
                "fashion_mnist/t10k-labels-idx1-ubyte.gz",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/t10k-labels-idx1-ubyte.gz",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                10_008,
            ),
        ],
        licence: "MIT",
        note: "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, 2017",
    },
    Source {
        name: "femnist",
        files: &[],
        licence: "public domain (NIST); LEAF's programs BSD-2-Clause",
        note: LEAF_NOTE,
    },
    Source {
        name: "lidar",
        files: &[
            known(
                "dinno_floorplan/floor_img_32.png",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/floor_img.png",
                "9108941037e25c8251474281d36fbf7e1a9ebed1c4daa2dd18d378b3eaddd801",
                26_917,
            ),
            known(
                "dinno_floorplan/tight_paths/1.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/1.npy",
                "c9e52b21b43418365786be1b56ab1c13d7689d0305c6848533544f37d02829d7",
                1_440,
            ),
            known(
                "dinno_floorplan/tight_paths/2.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/2.npy",
                "02e7c06a07a3c2704dcd05773c2b6c54c622408feea3edc2b4bab8117b7b6706",
                1_440,
            ),
            known(
                "dinno_floorplan/tight_paths/3.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/3.npy",
                "0758ac2ed2f84026b869e220a7e9f445a07b40294558f739d7df0ef8b097578c",
                1_440,
            ),
            known(
                "dinno_floorplan/tight_paths/4.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/4.npy",
                "1cafa3f782ae24aa82c9094b47c2ebd9c56d0105cb1162b329e9e12f782e2030",
                1_408,
            ),
            known(
                "dinno_floorplan/tight_paths/5.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/5.npy",
                "bb7f2fed456b82be5e843ed96ed6d829790faec14ac0336720cc23fcaca7bc89",
                1_440,
            ),
            known(
                "dinno_floorplan/tight_paths/6.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/6.npy",
                "115eb395cca1b720ff75ac1ab498fdbf5ccc74d66e76f495eef6fc0d9692d828",
                1_440,
            ),
            known(
                "dinno_floorplan/tight_paths/7.npy",
                "https://raw.githubusercontent.com/javieryu/nn_distributed_training/main/floorplans/32_data/tight_paths/7.npy",
                "52dab22c6e127d5e04837ee4500fb7292bd0cb5dc4d942f5ee975ebbdcf46dca",
                1_440,
            ),
        ],
        licence: "MIT; the plan probably comes from CubiCasa5k, CC BY-NC-SA 4.0",
        note: "J. Yu, nn_distributed_training: floor plan and waypoints of DiNNO's density problem",
    },
    Source {
        name: "mnist",
        files: &[
            known(
                "mnist/train-images-idx3-ubyte.gz",
                "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                47_040_016,
            ),
            known(
                "mnist/train-labels-idx1-ubyte.gz",
                "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                60_008,
            ),
            known(
                "mnist/t10k-images-idx3-ubyte.gz",
                "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                7_840_016,
            ),
            known(
                "mnist/t10k-labels-idx1-ubyte.gz",
                "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                10_008,
            ),
        ],
        licence: "CC BY-SA 3.0",
        note: "Y. LeCun, C. Cortes, C. Burges",
    },
    Source {
        name: "occupancy",
        files: &[
            known(
                "occupancy/datatraining.txt",
                "https://raw.githubusercontent.com/LuisM78/Occupancy-detection-data/master/datatraining.txt",
                "b2c4d0ce2b9e4e453c476f7125ef31aeec2d1f5c7f5572d0e80de3df6521ab56",
                596_674,
            ),
            known(
                "occupancy/datatest.txt",
                "https://raw.githubusercontent.com/LuisM78/Occupancy-detection-data/master/datatest.txt",
                "1b92c7c1b2838963464fa891a610cf3c5db4becb7189189b29b330107a584c7f",
                200_766,
            ),
            known(
                "occupancy/datatest2.txt",
                "https://raw.githubusercontent.com/LuisM78/Occupancy-detection-data/master/datatest2.txt",
                "d026d1bd5aeccd4aff4f3b3710d48e40613bd5fc370db7e61bbdcaa50d985095",
                699_664,
            ),
        ],
        licence: "CC BY 4.0",
        note: "L. Candanedo, V. Feldheim, Energy and Buildings 112, 2016; UCI Occupancy Detection",
    },
    Source {
        name: "shakespeare",
        files: &[],
        licence: "public domain; LEAF's programs BSD-2-Clause",
        note: LEAF_NOTE,
    },
    Source {
        name: "susy",
        files: &[unseen(
            "susy/SUSY.csv.gz",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00279/SUSY.csv.gz",
        )],
        licence: "CC BY 4.0",
        note: "P. Baldi, P. Sadowski, D. Whiteson, Nature Communications 5, 2014: 5,000,000 rows",
    },
    Source {
        name: "tinyshakespeare",
        files: &[known(
            "tinyshakespeare/input.txt",
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            1_115_394,
        )],
        licence: "public domain",
        note: "A. Karpathy, char-rnn: 40,000 lines of plays with the names of the speakers",
    },
    Source {
        name: "ud_english_ewt",
        files: &[
            known(
                "ud_english_ewt/en_ewt-ud-train.conllu",
                "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/en_ewt-ud-train.conllu",
                "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
                14_203_025,
            ),
            known(
                "ud_english_ewt/en_ewt-ud-dev.conllu",
                "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/en_ewt-ud-dev.conllu",
                "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
                1_805_545,
            ),
            known(
                "ud_english_ewt/en_ewt-ud-test.conllu",
                "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/en_ewt-ud-test.conllu",
                "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
                1_804_515,
            ),
        ],
        licence: "CC BY-SA 4.0",
        note: "Universal Dependencies, English Web Treebank; 2.15 and later changes",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::io::Read;

    #[test]
    fn entries_are_well_formed_and_sorted() {
        assert!(SOURCES.is_sorted_by(|a, b| a.name < b.name));
        for source in SOURCES {
            assert!(!source.licence.is_empty() && !source.note.is_empty());
            for file in source.files {
                let folder = if source.name == "lidar" { "dinno_floorplan" } else { source.name };
                assert!(file.path.starts_with(&format!("{folder}/")), "{}", file.path);
                assert!(file.url.starts_with("https://"), "{}", file.url);
                assert_eq!(file.sha256.is_some(), file.bytes.is_some(), "{}", file.path);
                let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                assert!(file.sha256.is_none_or(|s| s.len() == 64 && s.chars().all(hexadecimal)));
            }
        }
        assert_eq!(source("emnist").unwrap().files[0].path, "emnist/gzip.zip");
        assert!(source("emnist").unwrap().files[0].is_archive());
        assert!(source("mnist").unwrap().files[0].is_gzip());
        assert!(source("susy").unwrap().files[0].is_gzip() && source("digits").is_none());
    }

    #[test]
    fn files_at_hand_are_those_listed() {
        let Some(directory) = std::env::var_os("HCDDL_DATA") else {
            eprintln!("skipped: HCDDL_DATA is not set");
            return;
        };
        for file in SOURCES.iter().flat_map(|source| source.files) {
            let path = Path::new(&directory).join(file.path);
            let (Some(expected), Ok(mut content)) = (file.sha256, std::fs::read(&path)) else { continue };
            if file.is_gzip() {
                let packed = std::mem::take(&mut content);
                flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut content).unwrap();
            }
            assert_eq!(content.len() as u64, file.bytes.unwrap(), "{}", file.path);
            let hash = hcddl_core::domain::text::hex(&Sha256::digest(&content));
            assert_eq!(hash, expected, "{}", file.path);
        }
    }
}
